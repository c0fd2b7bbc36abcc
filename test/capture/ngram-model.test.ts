import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildNgram, ngramParameters } from '../../src/capture/ngram-model.ts';

const { orderMax, discount } = ngramParameters;

/** The definition, by counting the whole corpus for each context. */
function naive(tokens: Int32Array, vocabulary: number, context: number[]): number[] {
  const counts = new Array<number>(vocabulary).fill(0);
  for (let at = context.length; at < tokens.length; at++) {
    if (context.every((token, i) => tokens[at - context.length + i] === token))
      counts[tokens[at]]++;
  }
  const total = counts.reduce((a, b) => a + b, 0);
  const lower =
    context.length === 0
      ? new Array<number>(vocabulary).fill(1 / vocabulary)
      : naive(tokens, vocabulary, context.slice(1));
  if (total === 0) return lower;
  const distinct = counts.filter((count) => count > 0).length;
  return counts.map(
    (count, id) =>
      Math.max(0, count - discount) / total + ((discount * distinct) / total) * lower[id],
  );
}

const corpora = fc.integer({ min: 1, max: 6 }).chain((vocabulary) =>
  fc.record({
    vocabulary: fc.constant(vocabulary),
    tokens: fc.array(fc.nat(vocabulary - 1), { maxLength: 80 }),
    contexts: fc.array(fc.array(fc.nat(vocabulary - 1), { maxLength: 8 }), { minLength: 1 }),
  }),
);

describe('the n-gram', () => {
  it('equals its definition, on any corpus and context', () => {
    fc.assert(
      fc.property(corpora, ({ vocabulary, tokens, contexts }) => {
        const corpus = Int32Array.from(tokens);
        const model = buildNgram(corpus, vocabulary);
        const out = new Float32Array(vocabulary);
        for (const context of contexts) {
          model.score(Int32Array.from(context), out);
          const expected = naive(corpus, vocabulary, context.slice(-orderMax));
          for (let id = 0; id < vocabulary; id++) {
            expect(Math.exp(out[id])).toBeCloseTo(expected[id], 6);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it('gives whole distributions that sum to 1 over a large vocabulary', () => {
    const vocabulary = 5000;
    const corpus = Int32Array.from(
      { length: 20_000 },
      (_, i) => (i * i * 31 + (i % 7)) % vocabulary,
    );
    const model = buildNgram(corpus, vocabulary);
    const out = new Float32Array(vocabulary);
    for (const at of [0, 1, 2, 5, 700, 19_999]) {
      model.score(corpus.subarray(Math.max(0, at - 6), at), out);
      expect(out.reduce((sum, logp) => sum + Math.exp(logp), 0)).toBeCloseTo(1, 5);
    }
  });

  it('gives the same row whatever was scored before', () => {
    const corpus = Int32Array.from({ length: 500 }, (_, i) => (i * 7 + (i >> 3)) % 11);
    const [fresh, used] = [buildNgram(corpus, 11), buildNgram(corpus, 11)];
    const [a, b] = [new Float32Array(11), new Float32Array(11)];
    for (let at = 0; at < 200; at++) used.score(corpus.subarray(at, at + 5), b);
    const context = corpus.subarray(40, 43);
    fresh.score(context, a);
    used.score(context, b);
    expect(b).toEqual(a);
  });
});
