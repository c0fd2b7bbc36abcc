import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dequantise, type Levels } from '../../src/encode/levels.ts';
import { rankLevels } from '../../src/encode/ranked.ts';

/** Levels of a few positions; ids ascend by random steps. */
function levelsOf(
  kind: Levels['kind'],
  positions: readonly { entries: readonly (readonly [number, number])[]; rest: number }[],
): Levels {
  const ids: number[] = [];
  for (const { entries } of positions) {
    let id = -1;
    for (const [gap] of entries) {
      id += gap;
      ids.push(id);
    }
  }
  return {
    kind,
    counts: Uint32Array.from(positions, ({ entries }) => entries.length),
    ids: Uint32Array.from(ids),
    levels: Uint16Array.from(positions.flatMap(({ entries }) => entries.map(([, level]) => level))),
    rest: Uint16Array.from(kind === 'scaled' ? positions.map(({ rest }) => rest) : []),
  };
}

const positionsOf = (lowest: number) => {
  const level = fc.oneof(
    fc.integer({ min: lowest, max: 6 }),
    fc.integer({ min: lowest, max: 400 }),
    fc.integer({ min: lowest, max: 65_535 }),
  );
  const entry = fc.tuple(fc.integer({ min: 1, max: 1000 }), level);
  const position = fc.record({
    entries: fc.array(entry, { maxLength: 30 }),
    rest: fc.integer({ min: 1, max: 65_535 }),
  });
  return fc.array(position, { maxLength: 8 });
};

function expectRanked(levels: Levels, header: { step: number; tau: number }): void {
  const plain = dequantise(levels, header);
  const fast = rankLevels(levels, header);
  expect([...fast.offsets]).toEqual([...plain.offsets]);
  expect([...fast.rest]).toEqual([...plain.rest]);
  for (let t = 0; t + 1 < plain.offsets.length; t++) {
    const [from, to] = [plain.offsets[t], plain.offsets[t + 1]];
    const order = Array.from({ length: to - from }, (_, i) => from + i);
    order.sort((a, b) => plain.probs[b] - plain.probs[a] || plain.ids[a] - plain.ids[b]);
    expect([...fast.ids.subarray(from, to)]).toEqual(order.map((i) => plain.ids[i]));
    order.forEach((entry, i) => {
      const logp = Math.log(plain.probs[entry]);
      expect(Math.abs(fast.logprobs[from + i] - logp)).toBeLessThan(2e-6 * Math.max(1, -logp));
    });
  }
}

describe('ranked entries', () => {
  it('of scaled targets are those of the plain decoder, sorted', () => {
    fc.assert(
      fc.property(positionsOf(1), (positions) => {
        expectRanked(levelsOf('scaled', positions), { step: Math.fround(0.003), tau: 0 });
      }),
      { numRuns: 300 },
    );
  });

  it('of unbiased targets put level 0 where its weight belongs', () => {
    // √τ between two levels, on a level, and on the lowest
    const scales = [1, 2.5, 4, 37.25];
    fc.assert(
      fc.property(positionsOf(0), fc.constantFrom(...scales), (positions, scale) => {
        const step = 2 ** -16;
        const tau = Math.fround((scale * step) ** 2);
        expectRanked(levelsOf('unbiased', positions), { step, tau });
      }),
      { numRuns: 300 },
    );
  });
});
