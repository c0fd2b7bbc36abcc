import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planFilter } from '../../schemas/plan.ts';
import { keeps, openFilter, type SampleFacts, writeFilter } from '../../src/plan/filter.ts';
import { memoryStore } from '../support/plans.ts';

const factsOf = (positions: number[], learned = positions, meta?: string[]): SampleFacts => ({
  positions: Uint32Array.from(positions),
  learned: Uint32Array.from(learned),
  meta,
});

async function* inRuns(all: SampleFacts, run: number) {
  for (let from = 0; from < all.positions.length; from += run) {
    yield {
      positions: all.positions.subarray(from, from + run),
      learned: all.learned.subarray(from, from + run),
      meta: all.meta?.slice(from, from + run),
    };
  }
}

describe('a filter', () => {
  it('keeps by length, by mask and by a member of meta, all that are given', () => {
    const meta = ['{"source":"a"}', '{"source":"b"}', '{"document":1}', 'null'];
    const facts = factsOf([5, 10, 15, 20], [0, 9, 3, 19], meta);
    const kept = (filter: unknown) =>
      [0, 1, 2, 3].filter((i) => keeps(planFilter.parse(filter), facts, i));
    expect(kept({})).toEqual([0, 1, 2, 3]);
    expect(kept({ positions: { min: 10, max: 15 } })).toEqual([1, 2]);
    expect(kept({ learned: { min: 4 } })).toEqual([1, 3]);
    expect(kept({ meta: { field: 'source', in: ['b', 'c'] } })).toEqual([1]);
    expect(kept({ meta: { field: 'document', in: [1] } })).toEqual([2]);
    expect(kept({ positions: { max: 12 }, learned: { min: 1 } })).toEqual([1]);
    expect(() => planFilter.parse({ positions: { min: 3, max: 2 } })).toThrow('min is above max');
  });

  it('finds the n-th sample that it keeps, whatever the pages', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 100_000 }),
        fc.integer({ min: 1, max: 9 }),
        async (samples, every) => {
          // whole pages may keep nothing
          const lengths = Array.from({ length: samples }, (_, i) =>
            i < 70_000 && i > 30_000 ? 0 : i % every,
          );
          const filter = { positions: { min: 1 } };
          const store = memoryStore();
          const facts = inRuns(factsOf(lengths), 4096);
          const { sha256, kept } = await writeFilter(store, 'f', { filter, facts });
          const ordinals = [...lengths.keys()].filter((i) => lengths[i] >= 1);
          expect(kept).toBe(ordinals.length);
          const select = await openFilter(store, 'f', sha256);
          for (let item = 0; item < kept; item += 1 + Math.floor(kept / 200)) {
            expect(await select(item)).toBe(ordinals[item]);
          }
          await expect(select(kept)).rejects.toMatchObject({ code: 'index-damaged' });
        },
      ),
      { numRuns: 25 },
    );
  });

  it('costs a page of memory and a directory, not the bitmap', async () => {
    const store = memoryStore();
    const facts = inRuns(factsOf(new Array(2_000_000).fill(3)), 100_000);
    const { sha256 } = await writeFilter(store, 'f', { filter: {}, facts });
    store.reads.length = 0;
    const select = await openFilter(store, 'f', sha256);
    expect(await select(1_500_000)).toBe(1_500_000);
    const bytes = store.reads.reduce((sum, { length }) => sum + length, 0);
    expect(bytes).toBeLessThan(4096 + 62 * 20 + 100);
  });

  it('is refused where it is another file than the plan was made with', async () => {
    const store = memoryStore();
    const { sha256 } = await writeFilter(store, 'f', {
      filter: {},
      facts: inRuns(factsOf([1]), 1),
    });
    await writeFilter(store, 'f', { filter: {}, facts: inRuns(factsOf([1, 2]), 1) });
    const code = 'index-damaged';
    await expect(openFilter(store, 'f', sha256)).rejects.toMatchObject({ code });
    await expect(openFilter(store, 'g', sha256)).rejects.toMatchObject({ code });
  });
});
