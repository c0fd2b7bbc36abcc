import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PrefixIndex, sharedLength } from '../../src/cache/prefix-index.ts';

const sequence = fc
  .array(fc.nat(2), { minLength: 1, maxLength: 9 })
  .map((ids) => Int32Array.from(ids));

describe('the prefix index', () => {
  it('finds a stored sequence for exactly the prefixes of stored ones', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(sequence, { maxLength: 30 }),
        fc.array(sequence, { minLength: 20, maxLength: 20 }),
        async (stored, asked) => {
          let reads = 0;
          const index = new PrefixIndex(async (i) => {
            reads++;
            return stored[i];
          });
          const begins = (tokens: Int32Array, among: Int32Array[]) =>
            among.some((own) => sharedLength(own, tokens) === tokens.length);
          for (const [i, tokens] of stored.entries()) {
            expect(await index.add(i, tokens)).toBe(!begins(tokens, stored.slice(0, i)));
          }
          expect(index.size).toBeLessThanOrEqual(2 * stored.length + 1);
          expect(reads).toBeLessThanOrEqual(stored.length);
          for (const tokens of [...asked, ...stored]) {
            const found = index.candidate(tokens);
            const isHit =
              found !== undefined && sharedLength(stored[found], tokens) === tokens.length;
            expect(isHit).toBe(begins(tokens, stored));
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('adds one after another, however they are asked for', async () => {
    const stored = Array.from({ length: 50 }, (_, i) => Int32Array.of(1, i % 7, i % 3, i));
    const index = new PrefixIndex(async (i) => stored[i]);
    const added = await Promise.all(stored.map((tokens, i) => index.add(i, tokens)));
    expect(added.every(Boolean)).toBe(true);
    for (const [i, tokens] of stored.entries()) expect(index.candidate(tokens)).toBe(i);
  });
});
