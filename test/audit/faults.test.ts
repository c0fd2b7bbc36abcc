import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditSnapshot } from '../../src/audit/audit.ts';
import { openTokenizer } from '../../src/capture/tokenizer.ts';
import { joinSnapshots } from '../../src/convert.ts';
import type { DenseRows } from '../../src/distribution/rows.ts';
import type { Targets } from '../../src/distribution/targets.ts';
import { filePath } from '../../src/shard/names.ts';
import { createSparsifier } from '../../src/sparsify/table.ts';
import { openFileStore } from '../../src/store/file.ts';
import type { Store } from '../../src/store/store.ts';
import {
  asLists,
  atTemperature,
  headRenormalised,
  renormalised,
  shifted,
  tailDropped,
  tau,
  withRows,
} from '../support/faulty-targets.ts';
import {
  ngramTeaching,
  type ReadTask,
  type Storing,
  smallLmTeaching,
  storeBuilt,
  storeTampered,
  type Teaching,
} from '../support/teachings.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-faults-'));
let store: Store;
let ngram: Teaching;
let lm: Teaching;

beforeAll(async () => {
  store = await openFileStore(folder);
  ngram = await ngramTeaching(128, 8);
  lm = await smallLmTeaching(128);
}, 120_000);

afterAll(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

const reference = { positions: 512, entries: 512 };
const top64 = { sparsifier: { type: 'top-k', k: 64 }, reference };
const top16 = { sparsifier: { type: 'top-k', k: 16 }, reference };
const drawn02 = { sparsifier: { type: 'threshold', tau: 0.02 }, reference };
const drawn1 = { sparsifier: { type: 'threshold', tau: 0.1 }, reference };

const storing = (dataset: string, settings: Record<string, unknown>): Storing => ({
  store,
  dataset,
  settings,
});

async function findings(dataset: string) {
  return (await auditSnapshot(store, { dataset, snapshot: 'latest' })).findings;
}

const codes = async (dataset: string) => (await findings(dataset)).map(({ code }) => code);

const teacherOf = (name: 'ngram' | 'lm') => (name === 'ngram' ? ngram : lm);

describe('a good snapshot has no finding:', () => {
  it.each([
    ['ngram', 'top-64, temperatures', { ...top64, temperatures: [0.5, 2] }],
    ['ngram', 'top-16, standard', { ...top16, codec: { type: 'planes', step: 'standard' } }],
    ['ngram', 'top-p', { sparsifier: { type: 'top-p', p: 0.9, cap: 64 }, reference }],
    ['ngram', 'draws at 0.1', drawn1],
    ['ngram', 'draws at 0.02, raw', { ...drawn02, codec: { type: 'raw' } }],
    ['lm', 'top-16, raw, temperatures', { ...top16, codec: { type: 'raw' }, temperatures: [3] }],
    ['lm', 'top-64 in Parquet', { ...top64, codec: { type: 'plain' }, format: 'parquet' }],
    ['lm', 'draws at 0.02', drawn02],
    ['lm', 'draws in Parquet', { ...drawn1, codec: { type: 'plain' }, format: 'parquet' }],
    ['lm', 'coarse steps', { ...top64, codec: { type: 'planes', step: 0.03 } }],
  ] as const)('%s, %s', async (name, kind, settings) => {
    const dataset = `good-${name}-${kind.replace(/[^a-z0-9]+/g, '-')}`;
    await storeBuilt(teacherOf(name), storing(dataset, settings));
    expect(await findings(dataset)).toEqual([]);
  });

  it('short samples', async () => {
    const short = await smallLmTeaching(16);
    await storeBuilt(short, storing('good-short', { ...top64, codec: { type: 'planes' } }));
    expect(await findings('good-short')).toEqual([]);
  });

  it('several target sets', async () => {
    await storeBuilt(lm, storing('good-a', { ...top64, target_set: 'top' }));
    await storeBuilt(lm, storing('good-b', { ...drawn02, target_set: 'drawn' }));
    const datasets = ['good-a', 'good-b'];
    const format = { format: 'arrow', compression: 'zstd' } as const;
    const to = { dataset: 'good-joined', tag: 'latest', snapshot: 'latest' };
    await joinSnapshots(store, { datasets, ...format, ...to });
    expect(await findings('good-joined')).toEqual([]);
  });
});

describe('a faulty snapshot is named:', () => {
  it.each([
    ['ngram', 1],
    ['ngram', -1],
    ['lm', 1],
    ['lm', -1],
  ] as const)('%s, shifted by %i', async (name, by) => {
    const dataset = `shifted-${name}${by}`;
    const faulty = withRows(teacherOf(name), (rows) => shifted(rows, by));
    await storeBuilt(faulty, storing(dataset, by > 0 ? top64 : drawn02), { trusted: true });
    expect(await codes(dataset)).toContain('misaligned');
    expect(await codes(dataset)).not.toContain('tokenizer-mismatch');
  });

  it('tokens of another tokenizer, which the teacher scored', async () => {
    const other = 'bench/data/small-lm/tokenizer.json';
    const own = 'data/kjv-tokenizer-8192.json';
    const [from, to] = [own, other].map((file) => openTokenizer(readFileSync(file), file));
    const samples = [];
    for (const { sample } of ngram.samples.slice(0, 4)) {
      const tokens = to.encode(from.decode([...sample.tokens.subarray(1)])).slice(0, 128);
      const mask = new Uint8Array(tokens.length).fill(1, 0, tokens.length - 1);
      const rows = await ngram.source.score?.(tokens);
      if (rows) samples.push({ sample: { ...sample, tokens, mask }, rows });
    }
    for (const [dataset, settings] of Object.entries({ 'ids-top': top64, 'ids-drawn': drawn02 })) {
      await storeBuilt({ ...ngram, samples }, storing(dataset, settings), { trusted: true });
      expect(await codes(dataset)).toContain('tokenizer-mismatch');
    }
  });

  it('the file of another tokenizer', async () => {
    const tokenizerJson = readFileSync('bench/data/small-lm/tokenizer.json');
    const source = { ...ngram.source, tokenizerJson };
    await storeBuilt({ ...ngram, source }, storing('tokenizer-file', top16));
    expect(await codes('tokenizer-file')).toEqual(['tokenizer-mismatch']);
  });

  it.each([
    ['ngram', 64],
    ['ngram', 16],
    ['lm', 64],
    ['lm', 16],
  ] as const)('%s, top %i renormalised', async (name, k) => {
    const dataset = `renormalised-${name}-${k}`;
    const settings = { ...top64, codec: { type: 'planes', step: 'standard' } };
    const faulty = asLists(teacherOf(name), (rows) => renormalised(rows, k));
    await storeBuilt(faulty, storing(dataset, settings), { trusted: true });
    expect(await codes(dataset)).toEqual(['tail-renormalised']);
  });

  it('too few entries', async () => {
    for (const [name, k] of [
      ['ngram', 1],
      ['ngram', 2],
      ['lm', 2],
      ['lm', 8],
    ] as const) {
      const dataset = `few-${name}-${k}`;
      const settings = { sparsifier: { type: 'top-k', k }, reference };
      await storeBuilt(teacherOf(name), storing(dataset, settings));
      expect(await codes(dataset)).toEqual(['mass-low']);
    }
  });

  it('samples that are there twice', async () => {
    const twice = { ...lm, samples: [...lm.samples, lm.samples[1]] };
    await storeBuilt(twice, storing('twice', top64));
    expect(await codes('twice')).toEqual(['duplicates']);
  });

  it.each([
    ['ngram', 2, top64],
    ['ngram', 0.6, top16],
    ['ngram', 2, drawn02],
    ['lm', 2, top64],
    ['lm', 0.5, top64],
    ['lm', 0.5, drawn02],
  ] as const)('%s, scored at temperature %d', async (name, temperature, settings) => {
    const dataset = `temperature-${name}-${temperature}-${settings.sparsifier.type}`;
    const faulty = withRows(teacherOf(name), (rows) => atTemperature(rows, temperature));
    await storeBuilt(faulty, storing(dataset, settings));
    expect((await codes(dataset)).filter((code) => code !== 'mass-low')).toEqual([
      'temperature-wrong',
    ]);
  });

  it('entries at another temperature than the label log-probs and the reference', async () => {
    await storeTampered(lm, storing('entries-at-2', top64), (_, task) => {
      const rows = atTemperature(task.rows as DenseRows, 2);
      const top = createSparsifier({ type: 'top-k', k: 64 }).sparsify(rows, task.context);
      const exact = createSparsifier({ type: 'top-k', k: 64 }).sparsify(task.rows, task.context);
      return { ...top, labelLogprob: exact.labelLogprob };
    });
    const found = await codes('entries-at-2');
    expect(found).toEqual(expect.arrayContaining(['label-disagrees', 'fidelity-low']));
  });
});

describe('biased sampling passed off as unbiased is named:', () => {
  it.each([
    ['the tail dropped', tailDropped],
    ['what is above τ renormalised', headRenormalised],
    [
      '√p rounded to the nearest level',
      (_: Targets, { rows, context }: ReadTask) =>
        createSparsifier({ type: 'threshold', tau }).sparsify(rows, context),
    ],
  ] as const)('%s', async (what, tamper) => {
    for (const name of ['ngram', 'lm'] as const) {
      const dataset = `biased-${name}-${what.replace(/[^a-z]+/g, '-')}`;
      await storeTampered(teacherOf(name), storing(dataset, drawn02), tamper);
      expect(await codes(dataset)).toContain('sampling-biased');
    }
  });
});

describe('a damaged file is named:', () => {
  const damage: Record<string, readonly [code: string, damage: (file: string) => void]> = {
    truncated: ['file-damaged', (file) => truncateSync(file, 20_000)],
    flipped: [
      'file-damaged',
      (file) => {
        const bytes = readFileSync(file);
        bytes[bytes.length >> 1] ^= 16;
        writeFileSync(file, bytes);
      },
    ],
    missing: ['file-missing', (file) => rmSync(file)],
  };
  it.each(Object.keys(damage))('%s', async (kind) => {
    const { manifest } = await storeBuilt(lm, storing(`damaged-${kind}`, top64));
    const [code, harm] = damage[kind];
    const shard = manifest.files.find(({ role }) => role === 'shard')?.name ?? '';
    harm(join(folder, filePath(manifest.dataset, shard)));
    const found = await findings(manifest.dataset);
    expect(found.map((one) => one.code)).toEqual([code]);
    expect(found[0].message).toContain(shard);
  });
});
