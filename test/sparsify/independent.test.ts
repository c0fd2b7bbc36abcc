import fc from 'fast-check';
import { expect, it } from 'vitest';
import { independent } from '../../src/sparsify/independent.ts';
import { dense, entriesOf, lists, sparsify } from '../contracts/sparsifier.ts';

const scores = fc.float({ noNaN: true, min: -30, max: 30 });
const rows = fc.array(fc.array(scores, { minLength: 6, maxLength: 6 }), { minLength: 1 });

it('gives the K highest as probabilities of their own, ties by lower id', () => {
  fc.assert(
    fc.property(rows, fc.integer({ min: 1, max: 8 }), (given, k) => {
      const targets = sparsify(independent({ k }), dense(given));
      given.forEach((row, t) => {
        const order = [...row.keys()].sort((a, b) => row[b] - row[a] || a - b).slice(0, k);
        const { ids, logprobs } = entriesOf(targets, t);
        expect(ids).toEqual(order);
        logprobs.forEach((p, i) => {
          expect(Math.exp(p)).toBeCloseTo(1 / (1 + Math.exp(-row[order[i]])), 6);
        });
      });
    }),
  );
});

it('takes lists of whole rows for the same as the rows', () => {
  fc.assert(
    fc.property(rows, fc.integer({ min: 1, max: 8 }), (given, k) => {
      const whole = sparsify(independent({ k: 6 }), dense(given));
      const asLists = { ...lists([]), ...whole, form: 'lists' as const, width: 6 };
      expect(sparsify(independent({ k }), asLists)).toEqual(
        sparsify(independent({ k }), dense(given)),
      );
    }),
  );
});

it('keeps empty lists, nothing of probability 0, and none above 1', () => {
  const targets = sparsify(
    independent({ k: 2 }),
    lists([
      { ids: [], probs: [] },
      { ids: [3, 1, 0], probs: [1.0005, 0.5, 0.25] },
      { ids: [2, 0], probs: [0.5, 0] },
    ]),
  );
  expect([...targets.offsets]).toEqual([0, 0, 2, 3]);
  expect([...targets.ids]).toEqual([3, 1, 2]);
  expect(targets.logprobs[0]).toBe(0);
  expect(targets.rest).toHaveLength(0);
});
