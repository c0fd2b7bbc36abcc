import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ContainerName } from '../../schemas/common.ts';
import type { TargetSet } from '../../schemas/manifest.ts';
import { verifySnapshot } from '../../src/audit/verify.ts';
import { exportSnapshot, importSnapshot } from '../../src/convert.ts';
import { createReader, openSnapshot } from '../../src/shard/open-snapshot.ts';
import type { SnapshotReader } from '../../src/shard/reader.ts';
import { coded } from '../contracts/store.ts';
import { plain } from '../support/columns.ts';
import { useStore } from '../support/folder.ts';
import { type Sample, sampleOf, targetSet, width, writeSamples } from '../support/shards.ts';
import { randomTargets, targetsOf } from '../support/targets.ts';

const place = useStore();
const latest = { dataset: 'default', snapshot: 'latest' };
const folder = () => join(place.folder, 'out');
const zstd = { compression: 'zstd' } as const;

/** Every column of every row, as bytes. */
async function contentOf(reader: SnapshotReader) {
  const ordinals = Array.from({ length: reader.manifest.totals.samples }, (_, i) => i);
  const columns = await reader.read(ordinals, Object.keys(reader.columns));
  await reader.close();
  return Object.fromEntries(Object.entries(columns).map(([name, c]) => [name, plain(c)]));
}
const stored = async (dataset: string) =>
  contentOf(await openSnapshot(place.store, { dataset, snapshot: 'latest' }));

/** Out of the store into a folder and back under another name, through both containers. */
async function roundTrip(format: ContainerName, back: ContainerName, compression: 'zstd' | 'lz4') {
  await exportSnapshot(place.store, { ...latest, folder: folder(), format, compression });
  const options = { folder: folder(), snapshot: 'latest', dataset: 'back', tag: 'latest' };
  return importSnapshot(place.store, { ...options, format: back, compression });
}

const sets: Record<string, TargetSet> = {
  planes: targetSet,
  lz4: { ...targetSet, codec: { name: 'planes', parameters: { step: 0.003, compression: 'lz4' } } },
  raw: { ...targetSet, codec: { name: 'raw', parameters: {} } },
  plain: { ...targetSet, codec: { name: 'plain', parameters: { step: 0.003 } } },
};
const samples = Array.from({ length: 30 }, (_, i) => sampleOf(i));

describe('a snapshot out to Parquet and back', () => {
  it.each([
    ['planes', 'zstd'],
    ['lz4', 'lz4'],
    ['raw', 'zstd'],
  ] as const)('has every column bit for bit (%s)', async (name, compression) => {
    const { manifest } = await writeSamples(place.store, [samples], { set: sets[name] });
    const before = await stored('default');
    const back = await roundTrip('parquet', 'arrow', compression);
    expect(await stored('back')).toEqual(before);
    // all that is said about them, but names, files and places
    const { files, totals, ...rest } = back.manifest;
    const { files: ownFiles, totals: ownTotals, ...own } = manifest;
    expect(rest).toEqual({ ...own, dataset: 'back' });
    expect({ ...totals, bytes: 0 }).toEqual({ ...ownTotals, bytes: 0 });
    const kinds = (list: typeof files) => list.map(({ role }) => role).sort();
    expect(kinds(files)).toEqual(kinds(ownFiles));
    const verified = await verifySnapshot(place.store, { dataset: 'back', snapshot: 'latest' });
    expect(verified.problems).toEqual([]);
  });

  it('has frames of any targets and any step again', async () => {
    const shapes = fc.record({
      seed: fc.nat(),
      lengths: fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 4 }),
      entriesMax: fc.constantFrom(0, 1, 16, 300),
      step: fc.constantFrom(2e-5, 0.003, 0.0123, 0.3),
    });
    let count = 0;
    const property = fc.asyncProperty(shapes, async ({ seed, lengths, entriesMax, step }) => {
      rmSync(folder(), { recursive: true, force: true });
      const own = lengths.map((length, i): Sample => {
        const shape = { positions: length, entriesMax, width, seed: seed + i, mass: 0.9 };
        return { tokens: new Int32Array(length), targets: randomTargets(shape) };
      });
      const set: TargetSet = {
        ...targetSet,
        codec: { name: 'planes', parameters: { step, compression: 'zstd' } },
      };
      await writeSamples(place.store, [own], { set });
      const before = await stored('default');
      await roundTrip('parquet', 'arrow', 'zstd');
      expect(await stored('back')).toEqual(before);
      count++;
    });
    await fc.assert(property, { numRuns: 15 });
    expect(count).toBeGreaterThan(0);
  });

  it('has unbiased targets with their τ again', async () => {
    const [step, tau] = [Math.fround(0.01), Math.fround(0.03)];
    const entries = [
      { id: 5, p: tau },
      { id: 9, p: (40 * step) ** 2 },
    ];
    const targets = targetsOf([entries, [], [{ id: 0, p: tau }]], { kind: 'unbiased' });
    const codec = { name: 'planes' as const, parameters: { step, tau, compression: 'zstd' } };
    const set: TargetSet = { ...targetSet, kind: 'unbiased', codec };
    await writeSamples(place.store, [[{ tokens: Int32Array.of(1, 2, 3), targets }]], { set });
    const before = await stored('default');
    const { manifest } = await roundTrip('parquet', 'arrow', 'zstd');
    expect(manifest.target_sets[0].codec).toEqual(codec);
    expect(await stored('back')).toEqual(before);
  });

  it('and Parquet out to Arrow and back, too', async () => {
    await writeSamples(place.store, [samples], { set: sets.plain, format: 'parquet' });
    const before = await stored('default');
    const { manifest } = await roundTrip('arrow', 'parquet', 'zstd');
    expect(manifest.features).toEqual(['parquet']);
    expect(manifest.target_sets[0].codec).toEqual(sets.plain.codec);
    expect(await stored('back')).toEqual(before);
  });
});

describe('an export', () => {
  it('is one folder: Parquet files, their indexes, the manifest', async () => {
    await writeSamples(place.store, [samples]);
    const { id, manifest } = await exportSnapshot(place.store, {
      ...latest,
      ...zstd,
      folder: folder(),
      format: 'parquet',
    });
    const names = manifest.files.map(({ name }) => name);
    expect(readdirSync(folder()).sort()).toEqual([...names, 'manifest.json'].sort());
    expect(names[0]).toMatch(/^[0-9a-f]{16}-00000\.parquet$/);
    expect(manifest.target_sets[0].codec).toEqual(sets.plain.codec);
    const written = readFileSync(join(folder(), 'manifest.json'), 'utf8');
    expect(JSON.parse(written)).toEqual(manifest);
    expect(id).toMatch(/^[0-9a-f]{64}$/);
    const again = { ...latest, ...zstd, folder: folder(), format: 'arrow' as const };
    await expect(exportSnapshot(place.store, again)).rejects.toThrowError(coded('store-exists'));
  });

  it('stopped leaves nothing but what was there', async () => {
    await writeSamples(place.store, [samples]);
    const stop = new AbortController();
    const stopped = exportSnapshot(place.store, {
      ...latest,
      ...zstd,
      folder: folder(),
      format: 'parquet',
      signal: stop.signal,
      onProgress: ({ samples }) => samples === 5 && stop.abort(),
    });
    await expect(stopped).rejects.toThrowError(coded('interrupted'));
    expect(readdirSync(folder())).toEqual([]);
  });
});

describe('an import', () => {
  const importing = (more = {}) =>
    importSnapshot(place.store, {
      ...zstd,
      folder: folder(),
      snapshot: 'latest',
      dataset: 'back',
      tag: 'latest',
      format: 'arrow',
      ...more,
    });
  const exported = () =>
    exportSnapshot(place.store, { ...latest, ...zstd, folder: folder(), format: 'parquet' });

  it('takes a data set of another store, and is reused', async () => {
    await writeSamples(place.store, [samples], { set: sets.plain, format: 'parquet' });
    const path = join(place.folder, 'default');
    const first = await importing({ folder: path });
    expect(first.reused).toBe(false);
    expect(await importing({ folder: path, tag: 'second' })).toMatchObject({
      reused: true,
      id: first.id,
    });
    const reader = createReader(place.store, first);
    expect(Object.keys(reader.columns)).toContain('teacher_frame');
  });

  it('refuses a folder that holds no snapshot', async () => {
    await expect(importing()).rejects.toThrowError(coded('source-unreadable'));
    expect(readdirSync(place.folder)).toEqual([]);
  });

  it('refuses a folder with any damaged file, and leaves no snapshot', async () => {
    await writeSamples(place.store, [samples]);
    const { manifest } = await exported();
    for (const { name } of manifest.files) {
      const path = join(folder(), name);
      const bytes = readFileSync(path);
      if (bytes.length === 0) continue;
      const damaged = Buffer.from(bytes);
      damaged[bytes.length >> 1] ^= 1;
      writeFileSync(path, damaged);
      await place.store.close();
      const error = { code: 'shard-damaged', message: expect.stringContaining(name) };
      await expect(importing()).rejects.toMatchObject(error);
      writeFileSync(path, bytes);
    }
    expect(await place.store.list('back/snapshots')).toEqual([]);
    expect(await place.store.list('back/files')).toEqual([]);
    expect((await importing()).reused).toBe(false);
  });

  it('refuses a manifest that names other samples', async () => {
    await writeSamples(place.store, [samples]);
    await exported();
    const path = join(folder(), 'manifest.json');
    const text = readFileSync(path, 'utf8');
    const { content_id: content } = JSON.parse(text);
    writeFileSync(path, text.replace(content, '0'.repeat(64)));
    await expect(importing()).rejects.toThrowError(coded('manifest-invalid'));
    expect(await place.store.list('back/files')).toEqual([]);
  });
});
