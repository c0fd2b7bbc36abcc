/** Images through the whole pipe: build, verify, serve, client. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Manifest } from '../../schemas/manifest.ts';
import { auditSnapshot } from '../../src/audit/audit.ts';
import { checkImages } from '../../src/audit/images.ts';
import { verifySnapshot } from '../../src/audit/verify.ts';
import { build } from '../../src/build.ts';
import { readBatch } from '../../src/client/batch.ts';
import type { Client } from '../../src/client/client.ts';
import { openClient } from '../../src/client/client.ts';
import { exportSnapshot, importSnapshot } from '../../src/convert.ts';
import type { RunningServer } from '../../src/serve/server.ts';
import { openSnapshot } from '../../src/shard/open-snapshot.ts';
import { rowSampleIds } from '../../src/shard/row-ids.ts';
import type { Store } from '../../src/store/store.ts';
import { openStore } from '../../src/store/table.ts';
import { ask, serve } from '../fixtures.ts';
import { plain } from '../support/columns.ts';
import { type Digits, views, writeDigits } from '../support/digits.ts';
import { configOf } from '../support/dump.ts';

describe('digits', () => {
  let folder: string;
  let digits: Digits;
  let store: Store;
  let server: RunningServer;
  let client: Client;
  let manifest: Manifest;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'logitcask-digits-'));
    digits = await writeDigits(folder);
    const path = `${folder}/store`;
    const shard = { bytes_max: 65_536, batch_bytes_max: 4096 };
    const config = configOf({ store: path, dataset: 'digits', source: digits.source, shard });
    ({ manifest } = await build(config, { dataFolder: 'data' }));
    store = await openStore(path);
    server = await serve(store);
    client = openClient({ url: server.url });
  });
  afterAll(async () => {
    client.close();
    await server.close();
    await store.close();
    rmSync(folder, { recursive: true });
  });

  it('are a snapshot that is proved whole', async () => {
    expect(manifest).toMatchObject({ kind: 'vision', alignment: null });
    expect(manifest.totals).toMatchObject({ samples: 96, positions: 96 * views });
    const report = await verifySnapshot(store, { dataset: 'digits', snapshot: 'latest' });
    expect(report.problems).toEqual([]);
  });

  it('come in batches', async () => {
    for (const layout of ['frames', 'plain', 'dense'] as const) {
      const batch = await client.rows({ dataset: 'digits', offset: 3, length: 5, layout });
      expect(batch.rows).toBe(5);
    }
    const answer = await ask(server.url, '/v1/datasets/digits/snapshots/latest/rows?length=1');
    expect(answer.json()).toMatchObject({ rows: [{ meta: { digit: digits.labels[0] } }] });
  });

  it('come with lengths that fit their layout, or are refused', async () => {
    const { bytes } = await client.rows({
      dataset: 'digits',
      offset: 3,
      length: 5,
      layout: 'dense',
    });
    for (const length of [2 ** 31 - 1, views + 1, -1, -(2 ** 31)]) {
      const forged = Buffer.from(bytes);
      const { buffers } = readBatch(forged).columns.length;
      expect(buffers[0].buffer).toBe(forged.buffer);
      forged.writeInt32LE(length, buffers[0].byteOffset - forged.byteOffset + 4);
      expect(() => readBatch(forged)).toThrowError(
        expect.objectContaining({ code: 'reply-invalid', expected: '0 … 4', got: length }),
      );
    }
  });

  it('go to Parquet and back bit for bit', async () => {
    const options = { dataset: 'digits', snapshot: 'latest', compression: 'zstd' } as const;
    const out = join(folder, 'parquet');
    await exportSnapshot(store, { ...options, folder: out, format: 'parquet' });
    const back = { ...options, folder: out, dataset: 'again', tag: 'latest' };
    await importSnapshot(store, { ...back, format: 'arrow' });
    await importSnapshot(store, { ...back, dataset: 'columns', format: 'parquet' });
    const ordinals = Array.from({ length: 96 }, (_, i) => i);
    const [first, again] = await Promise.all(
      ['digits', 'again'].map(async (dataset) => {
        const reader = await openSnapshot(store, { dataset, snapshot: 'latest' });
        return reader.read(ordinals, Object.keys(reader.columns));
      }),
    );
    expect(Object.keys(again)).toEqual(Object.keys(first));
    expect(Object.values(again).map(plain)).toEqual(Object.values(first).map(plain));
    const reader = await openSnapshot(store, { dataset: 'columns', snapshot: 'latest' });
    const { augmentation_seed: seeds } = await reader.read(ordinals, ['augmentation_seed']);
    expect(new BigUint64Array(new Uint8Array(seeds.buffers[1]).buffer)).toEqual(digits.seeds);
    for (const dataset of ['again', 'columns']) {
      const { problems } = await verifySnapshot(store, { dataset, snapshot: 'latest' });
      expect(problems).toEqual([]);
    }
    for (const layout of ['plain', 'dense'] as const) {
      const batch = await client.rows({ dataset: 'columns', offset: 90, length: 9, layout });
      expect(batch.rows).toBe(6);
    }
  });

  it('whose images are gone or others are told', async () => {
    const reader = await openSnapshot(store, { dataset: 'digits', snapshot: 'latest' });
    const audit = () => auditSnapshot(store, { dataset: 'digits', snapshot: 'latest' });
    const whole = await audit();
    expect(whole.findings).toEqual([]);
    expect(whole.integrity.images).toMatchObject({ checked: 96, skipped: 0, wrong: 0 });
    expect(whole.alignment).toEqual([]);
    const { samples, positions, vocabulary } = whole.coverage;
    expect({ samples, positions, used: vocabulary.used }).toEqual({
      samples: 96,
      positions: 96 * views,
      used: 10,
    });
    rmSync(join(folder, 'images', '3.pgm'));
    writeFileSync(join(folder, 'images', '5.pgm'), 'P5 8 8 16');
    const { wrong, problems } = await checkImages(store, reader);
    expect(wrong).toBe(2);
    expect(problems.map(({ ordinal, what }) => [ordinal, what])).toEqual([
      [3, 'missing'],
      [5, 'changed'],
    ]);
    const { findings } = await audit();
    expect(findings.map(({ code }) => code)).toEqual(['images-changed']);
  });

  it('are missing where their address is no regular file', async () => {
    const reader = await openSnapshot(store, { dataset: 'digits', snapshot: 'latest' });
    for (const name of ['7.pgm', '8.pgm']) rmSync(join(folder, 'images', name));
    execFileSync('mkfifo', [join(folder, 'images', '7.pgm')]);
    symlinkSync('/dev/zero', join(folder, 'images', '8.pgm'));
    const { problems } = await checkImages(store, reader);
    const missing = problems.filter(({ what }) => what === 'missing');
    expect(missing.map(({ ordinal }) => ordinal)).toEqual([3, 7, 8]);
    const stop = async (bytes: number) => {
      if (bytes > 0) throw new Error('stopped');
    };
    await expect(checkImages(store, reader, stop)).rejects.toThrow('stopped');
  });

  it('are refused where a row is not that of its sample id', async () => {
    const reader = await openSnapshot(store, { dataset: 'digits', snapshot: 'latest' });
    const columns = await reader.read([0], Object.keys(reader.columns));
    const id = rowSampleIds(reader.manifest, columns)(0);
    expect(id.equals(columns.sample_id.buffers[0])).toBe(true);
    columns.mask.buffers[1][0] ^= 1;
    expect(rowSampleIds(reader.manifest, columns)(0).equals(id)).toBe(false);
    columns.input_frame.buffers[1][30] ^= 1;
    expect(() => rowSampleIds(reader.manifest, columns)(0)).toThrowError(
      expect.objectContaining({ code: 'frame-damaged' }),
    );
  });

  it('build to the same snapshot in several shards after an interruption', async () => {
    const shard = { bytes_max: 65_536, batch_bytes_max: 4096 };
    const heads = [{ name: 'second', scores: digits.source.scores, normalisation: 'sigmoid' }];
    const source = { ...digits.source, heads };
    const ids = [];
    for (const [i, name] of ['whole', 'stopped'].entries()) {
      const codec = { type: 'raw' }; // large enough for several shards
      const settings = { store: join(folder, name), dataset: 'd', source, shard, codec };
      const stop = new AbortController();
      let seen = 0;
      const onProgress = ({ shards, positions }: { shards: number; positions: number }) => {
        seen = Math.max(seen, positions);
        if (i === 1 && shards > 0) stop.abort();
      };
      const options = { dataFolder: 'data', onProgress, signal: stop.signal };
      if (i === 1) {
        await expect(build(configOf(settings), options)).rejects.toMatchObject({
          code: 'interrupted',
        });
      }
      const report = await build(configOf(settings), { dataFolder: 'data', onProgress });
      // a position that two heads score is one
      expect(seen).toBe(96 * views);
      expect(report.positions).toBe((96 - report.resumedSamples) * views);
      if (i === 1) expect(report.resumedSamples).toBeGreaterThan(0);
      expect(report.manifest.target_sets.map(({ kind }) => kind)).toEqual([
        'scaled',
        'independent',
      ]);
      ids.push(report.snapshot);
    }
    expect(ids[1]).toBe(ids[0]);
  });

  it.each([
    [{ classes: ['a'] }, 'config-invalid'],
    [{ pipeline: undefined }, 'source-unreadable'],
    [{ scores: 'test/golden/vision/digits.npz:shifts' }, 'source-unreadable'],
    [{ values: 'probabilities' }, 'row-invalid'],
    [
      { heads: [{ name: 'teacher', scores: 'test/golden/vision/digits.npz:logits' }] },
      'config-invalid',
    ],
  ] as const)('are refused with %o', async (change, code) => {
    const source = { ...digits.source, ...change };
    const config = configOf({ store: join(folder, 'refused'), dataset: 'd', source });
    await expect(build(config, { dataFolder: 'data' })).rejects.toMatchObject({ code });
  });
});
