import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createScoreIndex } from '../../src/capture/score-index.ts';
import { sequenceKey } from '../../src/capture/scored.ts';

const keyOf = (i: number) => sequenceKey(Int32Array.of(i));

describe('the index of scored sequences', () => {
  it('finds what was set, the last of each, and nothing else', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(3000), fc.integer({ min: 8 })), { maxLength: 4000 }),
        (all) => {
          const index = createScoreIndex();
          for (const [i, offset] of all) index.set(keyOf(i), offset);
          const expected = new Map(all);
          expect(index.size).toBe(expected.size);
          for (let i = 0; i <= 3000; i++) expect(index.get(keyOf(i))).toBe(expected.get(i));
        },
      ),
      { numRuns: 10 },
    );
  });

  it('keeps those with one half of the key in common apart', () => {
    const index = createScoreIndex();
    const keys = ['00000001'.repeat(4), '0000000100000002'.repeat(2), '0000000200000001'.repeat(2)];
    for (const [i, key] of keys.entries()) index.set(key, 8 + i);
    expect(keys.map((key) => index.get(key))).toEqual([8, 9, 10]);
  });

  it('takes no more memory than it may: later sequences are left out', () => {
    const index = createScoreIndex(2048 * 16);
    for (let i = 0; i < 5000; i++) index.set(keyOf(i), 8 + i);
    expect(index.size).toBe(1536);
    expect(index.get(keyOf(1535))).toBe(8 + 1535);
    expect(index.get(keyOf(1536))).toBeUndefined();
    index.set(keyOf(3), 77);
    expect(index.get(keyOf(3))).toBe(77);
  });
});
