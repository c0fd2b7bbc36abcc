import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { measureDrift } from '../../src/audit/drift.ts';
import { comparePositions, type Stored } from '../../src/audit/drift-position.ts';
import { addTo, mergeSketches, newSketch, summaryOf } from '../../src/audit/sketch.ts';
import { build } from '../../src/build.ts';
import type { DecodedTargets } from '../../src/distribution/targets.ts';
import { coded } from '../contracts/store.ts';
import { configOf, random, writeDump } from '../support/dump.ts';
import { useStore } from '../support/folder.ts';
import { ranked, sum } from '../support/naive.ts';
import { labelSpace, sampleOf, targetSet, writeSamples } from '../support/shards.ts';

const place = useStore();
const width = 40;

function distribution(seed: number): number[] {
  const next = random(seed);
  const weights = Array.from({ length: width }, () => (next() + 1e-3) ** 4);
  const total = sum(weights);
  return weights.map((weight) => weight / total);
}

/** Its top k, as stored. */
function stored(probs: readonly number[], k: number): Stored {
  const ids = ranked(probs, k);
  const targets: DecodedTargets = {
    kind: 'scaled',
    count: 1,
    offsets: Uint32Array.of(0, ids.length),
    ids: Uint32Array.from(ids),
    probs: Float32Array.from(ids, (id) => probs[id]),
    rest: Float32Array.of(1 - sum(ids.map((id) => probs[id]))),
  };
  return { targets, set: targetSet };
}

const klOf = (p: readonly number[], q: readonly number[]) =>
  sum(p.map((x, i) => x * Math.log(x / q[i])));

describe('two positions', () => {
  it('lie as far apart as whole distributions, where all is stored, and no further otherwise', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.integer({ min: 1, max: width }), (a, b, k) => {
        const [p, q] = [distribution(a), distribution(b)];
        const whole = comparePositions(stored(p, width), stored(q, width), 0);
        expect(whole.kl).toBeCloseTo(klOf(p, q), 4);
        expect(whole.klBack).toBeCloseTo(klOf(q, p), 4);
        const variation = sum(p.map((x, i) => Math.abs(x - q[i]))) / 2;
        expect(whole.variation).toBeCloseTo(variation, 5);
        const cut = comparePositions(stored(p, k), stored(q, k), 0);
        expect(cut.kl).toBeLessThan(whole.kl + 1e-4);
        expect(cut.klBack).toBeLessThan(whole.klBack + 1e-4);
        expect(cut.variation).toBeLessThan(whole.variation + 1e-5);
        expect(cut.kl).toBeGreaterThan(-1e-6);
        expect(cut.sameTop).toBe(ranked(p, 1)[0] === ranked(q, 1)[0]);
      }),
    );
  });

  it('without a common entry are far apart where their rests are small', () => {
    const [p, q] = [0, 20].map((from) =>
      Array.from({ length: width }, (_, id) => (id >= from && id < from + 20 ? 0.0499 : 0.0001)),
    );
    const { kl, variation } = comparePositions(stored(p, 20), stored(q, 20), 0);
    expect(variation).toBeGreaterThan(0.99);
    expect(kl).toBeGreaterThan(5);
  });
});

describe('a sketch', () => {
  it('gives mean and maximum exactly, the 99th percentile to 10 %, merged or not', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 1e-9, max: 100, noNaN: true }), { minLength: 1 }),
        (x) => {
          const sketchOf = (values: readonly number[]) => {
            const sketch = newSketch();
            for (const value of values) addTo(sketch, value);
            return sketch;
          };
          const half = x.length >> 1;
          const found = summaryOf(
            mergeSketches(sketchOf(x.slice(0, half)), sketchOf(x.slice(half))),
          );
          const sorted = [...x].sort((a, b) => a - b);
          const p99 = sorted[Math.min(x.length - 1, Math.floor(x.length * 0.99))];
          expect(found?.mean).toBeCloseTo(sum(x) / x.length, 3);
          expect(found?.max).toBeCloseTo(sorted[x.length - 1], 3);
          expect((found?.p99 ?? 0) / p99).toBeGreaterThan(0.999);
          expect((found?.p99 ?? 0) / p99).toBeLessThan(1.1);
        },
      ),
    );
    expect(summaryOf(newSketch())).toBeNull();
  });
});

describe('drift', () => {
  const shape = { positions: 480, vocabulary: 200, sampleLength: 24 };
  const top = { sparsifier: { type: 'top-k', k: 32 } };

  async function built(dataset: string, settings: Record<string, unknown>, seed = 1) {
    const { source } = writeDump(place.folder, { ...shape, seed });
    const config = configOf({ store: place.folder, dataset, source, workers: 1, ...settings });
    await build(config, { dataFolder: 'data' });
  }
  const drift = (before: string, after: string, set?: string) =>
    measureDrift(place.store, {
      before: { dataset: before, snapshot: 'latest', set },
      after: { dataset: after, snapshot: 'latest' },
    });

  it('is none between equal targets, and that of rounding between steps', async () => {
    await built('raw', { ...top, codec: { type: 'raw' } });
    await built('fine', top);
    await built('coarse', { ...top, codec: { type: 'planes', step: 0.05 } });
    await built('drawn', { sparsifier: { type: 'threshold', tau: 0.02 } });
    const none = await drift('raw', 'raw');
    expect(none).toMatchObject({
      samples: { both: 20, before_only: 0, after_only: 0 },
      positions: 460,
      kl: { max: 0 },
      total_variation: { max: 0 },
      top1: 1,
      positions_most: [],
    });
    expect(none.sources.total).toBeGreaterThan(0);
    const [fine, coarse] = [await drift('raw', 'fine'), await drift('raw', 'coarse')];
    expect(fine.kl?.mean).toBeGreaterThan(1e-6);
    expect(fine.kl?.mean).toBeLessThan(1e-4);
    expect(coarse.kl?.mean).toBeGreaterThan(20 * (fine.kl?.mean ?? 1));
    expect(coarse.positions_most).toHaveLength(20);
    expect(coarse.positions_most[0].kl).toBe(coarse.kl?.max);
    // what is above τ is known but for rounding at random
    const drawn = await drift('raw', 'drawn');
    expect(drawn.kl?.mean).toBeLessThan(0.01);
    expect(drawn.top1).toBeGreaterThan(0.95);
  });

  it('counts what only one of them holds', async () => {
    await built('one', top);
    const { source } = writeDump(place.folder, { ...shape, seed: 1 });
    const tokens = source as { sample_length: number };
    tokens.sample_length = 48;
    const config = configOf({ store: place.folder, dataset: 'other', source, ...top });
    await build(config, { dataFolder: 'data' });
    const { samples, positions, kl } = await drift('one', 'other');
    expect(samples).toEqual({ both: 0, before_only: 20, after_only: 10 });
    expect({ positions, kl }).toEqual({ positions: 0, kl: null });
  });

  it('matches samples by their ids, in any order, repeated or not', async () => {
    const write = (dataset: string, seeds: readonly number[]) =>
      writeSamples(place.store, [seeds.map((seed) => sampleOf(seed, 12))], { dataset });
    await write('some', [3, 1, 4, 1, 5, 9, 2]);
    await write('more', [2, 7, 1, 8, 2, 3, 8]);
    const there = await drift('some', 'more');
    expect(there.samples).toEqual({ both: 4, before_only: 3, after_only: 3 });
    expect(there.kl).toMatchObject({ max: 0 });
    const back = await drift('more', 'some');
    expect(back.samples).toEqual({ both: 4, before_only: 3, after_only: 3 });
  });

  it('refuses target sets over label spaces of their own that differ', async () => {
    for (const [dataset, size] of [
      ['wide', 1000],
      ['wider', 2000],
    ] as const) {
      const set = { ...targetSet, label_space: { ...labelSpace, size } };
      await writeSamples(place.store, [[sampleOf(3, 12)]], { dataset, set });
    }
    await expect(drift('wide', 'wider')).rejects.toMatchObject(coded('conflict'));
    expect((await drift('wide', 'wide')).positions).toBeGreaterThan(0);
  });

  it('takes any meta: what names no source counts under none', async () => {
    const metas = ['no JSON', 'null', '[1]', '', '{"source":{}}', '{"source":"a"}'];
    const samples = metas.map((meta, i) => ({ ...sampleOf(i, 12), meta }));
    await writeSamples(place.store, [samples], { dataset: 'metas' });
    const { sources } = await drift('metas', 'metas');
    expect(sources.rows.map(({ source }) => source).sort()).toEqual(['(none)', 'a']);
  });

  it('refuses other label spaces, and target sets that are not there', async () => {
    await built('one', top);
    const { source } = writeDump(place.folder, { ...shape, vocabulary: 100 });
    const config = configOf({ store: place.folder, dataset: 'small', source, ...top });
    await build(config, { dataFolder: 'data' });
    await expect(drift('one', 'small')).rejects.toMatchObject(coded('conflict'));
    await expect(drift('one', 'one', 'none')).rejects.toMatchObject(coded('conflict'));
  });
});
