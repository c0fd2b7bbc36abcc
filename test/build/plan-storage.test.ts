import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { measureSize, type SizeReport } from '../../src/audit/size.ts';
import { lossOf, type StorageChoice } from '../../src/audit/storage-choices.ts';
import { planStorage, type StoragePlan } from '../../src/build/plan-storage.ts';
import { adviseStorage } from '../../src/build/storage-advice.ts';
import { type BuildReport, build } from '../../src/build.ts';
import { openStore } from '../../src/store/table.ts';
import { configOf, writeDump } from '../support/dump.ts';
import { writeNpz } from '../support/npz.ts';
import { listsOf, npzMembers } from '../support/top-lists.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-plan-storage-'));
afterAll(() => rmSync(folder, { recursive: true }));

const dump = writeDump(folder, { positions: 1600, vocabulary: 300, sampleLength: 64 });
const { source } = dump;
const measure = (settings: Record<string, unknown>, more = {}) =>
  planStorage(configOf(settings), { dataFolder: 'data', samplePositions: 2048, ...more });

let plan: StoragePlan;
beforeAll(async () => {
  plan = await measure({ source });
});

function choiceOf(
  { choices }: StoragePlan,
  sparsifier: Record<string, unknown>,
  step: number,
): StorageChoice {
  const found = choices.find((choice) => {
    const wanted = { ...choice.sparsifier, ...sparsifier };
    return choice.step === step && JSON.stringify(wanted) === JSON.stringify(choice.sparsifier);
  });
  return found as StorageChoice;
}

async function built(
  store: string,
  settings: Record<string, unknown>,
): Promise<{ report: BuildReport; size: SizeReport }> {
  const config = configOf({
    store: join(folder, store),
    source,
    reference: { positions: 1600, entries: 300 },
    ...settings,
  });
  const report = await build(config, { dataFolder: 'data' });
  const opened = await openStore(join(folder, store));
  const size = await measureSize(opened, { dataset: 'default', snapshot: 'latest' });
  await opened.close();
  return { report, size };
}

const within = (value: number, expected: number, share: number) => {
  expect(value).toBeGreaterThan(expected * (1 - share));
  expect(value).toBeLessThan(expected * (1 + share));
};
const offset = 4 / 64; // of the column of frames, a sample

describe('a storage plan', () => {
  it.each([
    ['top-k', { k: 64 }, 0.003, 'zstd'],
    ['top-p', { p: 0.9, floor: 1, cap: 128 }, 0.0095, 'lz4'],
  ] as const)(
    'says what a build of scaled targets stores: %s',
    async (type, values, step, with_) => {
      const sparsifier = { type, ...values };
      const { report, size } = await built(type, {
        sparsifier,
        codec: { type: 'planes', step, compression: with_ },
        temperatures: [2],
      });
      const choice = choiceOf(plan, sparsifier, step);
      within(choice.bytes[with_], size.targets - offset, 0.002);
      const [{ fidelity, entries }] = report.manifest.target_sets;
      within(choice.kl?.mean ?? 0, fidelity?.kl?.mean ?? 1, 0.02);
      within(choice.kl?.p99 ?? 0, fidelity?.kl?.p99 ?? 1, 0.1);
      within(choice.mass ?? 0, fidelity?.mass ?? 1, 0.001);
      // the build counts what the sparsifier keeps, before rounding drops some
      expect(choice.entries).toBeLessThanOrEqual(entries / 1600);
      expect(choice.entries).toBeGreaterThan(1);
      const { beside } = await measure({ source, temperatures: [2] }, { samplePositions: 128 });
      const all = size.columns.reduce((sum, column) => sum + column.bytesPerPosition, 0);
      const told = Object.values(beside).reduce((sum, bytes) => sum + bytes, choice.bytes[with_]);
      within(told, all, 0.005); // buffers are padded
    },
  );

  it('says what a build of unbiased targets stores, and its variance', async () => {
    const sparsifier = { type: 'threshold', tau: 0.02 };
    const { report, size } = await built('threshold', { sparsifier });
    const choice = choiceOf(plan, sparsifier, 0.0095);
    within(choice.bytes.zstd, size.targets - offset, 0.02);
    const [{ fidelity }] = report.manifest.target_sets;
    within(choice.variance?.mean ?? 0, fidelity?.squared_error?.mean ?? 1, 0.05);
    expect(choice).toMatchObject({ kl: null, klSpread: null, mass: null, kind: 'unbiased' });
  });

  it('measures whole samples, as many as reach what was asked for', async () => {
    const { sampled, positions } = await measure({ source }, { samplePositions: 200 });
    expect(sampled).toEqual({ samples: 4, positions: 256 });
    expect(positions).toBe(1600);
    const told = await measure({ source }, { samplePositions: 200, positions: 7 });
    expect(told.positions).toBe(7);
  });

  it('marks the choices that no smaller one of their kind comes near to', () => {
    for (const kind of ['scaled', 'unbiased']) {
      const own = plan.choices.filter((choice) => choice.kind === kind);
      const bySize = own.toSorted((a, b) => a.bytes.zstd - b.bytes.zstd);
      expect(bySize[0].front).toBe(true);
      let least = Number.POSITIVE_INFINITY;
      for (const choice of bySize) {
        expect(choice.front).toBe(least > lossOf(choice) * 1.05);
        least = Math.min(least, lossOf(choice));
      }
    }
  });

  it('advises the smallest draw that is no worse than 50 random ones', () => {
    const { unbiased, scaled, standard } = adviseStorage(plan);
    const enough = plan.draws?.variance ?? 0;
    expect(lossOf(unbiased as StorageChoice)).toBeLessThanOrEqual(enough);
    const smaller = plan.choices.filter(
      ({ kind, step, bytes }) =>
        kind === 'unbiased' && step < 0.03 && bytes.zstd < (unbiased?.bytes.zstd ?? 0),
    );
    for (const choice of smaller) expect(lossOf(choice)).toBeGreaterThan(enough);
    expect(standard).toMatchObject({ sparsifier: { type: 'top-k', k: 64 }, step: 0.003 });
    expect(scaled.bytes.zstd).toBeLessThanOrEqual(standard.bytes.zstd);
    expect(lossOf(scaled)).toBeLessThanOrEqual(lossOf(standard) * 1.05);
  });

  it('advises no draw where other temperatures are asked for', async () => {
    const other = await measure({ source, temperatures: [2] }, { samplePositions: 128 });
    expect(adviseStorage(other).unbiased).toBe(null);
  });

  it('has no draws of top lists, and no list twice', async () => {
    const logits = join(folder, 'lists.npz');
    writeNpz(logits, npzMembers(listsOf(dump, 20)));
    const lists = await measure({ source: { ...source, logits, tokens: undefined } });
    expect(lists.draws).toBe(null);
    expect(lists.choices.every(({ kind }) => kind === 'scaled')).toBe(true);
    const ks = lists.choices.flatMap(({ sparsifier: s }) => (s.type === 'top-k' ? [s.k] : []));
    expect(ks).toEqual([16, 16, 16, 32, 32, 32]);
    // the same list of 16 as from whole distributions
    const { bytes } = choiceOf(lists, { type: 'top-k', k: 16 }, 0.003);
    within(bytes.zstd, choiceOf(plan, { type: 'top-k', k: 16 }, 0.003).bytes.zstd, 0.001);
    expect(adviseStorage(lists).standard.sparsifier).toEqual({ type: 'top-k', k: 32 });
  });

  it('refuses too few positions', async () => {
    const place = mkdtempSync(join(folder, 'few-'));
    const few = writeDump(place, { positions: 99, vocabulary: 50, sampleLength: 32 });
    const error = { code: 'source-unreadable', got: 99 };
    await expect(measure({ source: few.source })).rejects.toMatchObject(error);
  });
});
