import fc from 'fast-check';
import { expect, it } from 'vitest';
import { inIdOrder, inRankOrder } from '../../src/audit/alignment.ts';
import { addFit, newFit } from '../../src/audit/temperature-fit.ts';

it('an id is found by halving where it is found by looking at all', () => {
  const ids = fc.uniqueArray(fc.oneof(fc.nat(80), fc.nat(2 ** 31 - 1)), { maxLength: 70 });
  fc.assert(
    fc.property(ids, fc.array(fc.nat(80)), fc.nat(3), (own, others, before) => {
      const sorted = own.sort((a, b) => a - b);
      const padding = new Array<number>(before).fill(2 ** 31 - 1);
      const all = Int32Array.from([...padding, ...sorted, 0, 1]);
      const place = { from: before, to: before + sorted.length };
      if (sorted.length === 0) return;
      for (const id of [...sorted, ...others]) {
        expect(inIdOrder(all, id, place)).toBe(inRankOrder(all, id, place));
      }
    }),
  );
});

it('the likelihoods of temperatures are those summed entry by entry, bit for bit', () => {
  const logprob = fc.double({ min: -90, max: 0, noNaN: true });
  fc.assert(
    fc.property(fc.array(logprob, { minLength: 2, maxLength: 70 }), (logprobs) => {
      const fit = newFit();
      const [own] = logprobs;
      addFit(fit, Float64Array.from(logprobs), { count: logprobs.length, own });
      const top = Math.max(...logprobs);
      const factors = logprobs.map((one) => Math.exp((one - top) / 8));
      const expected = fit.map((_, j) => {
        let sum = 0;
        for (const factor of factors) {
          let power = 1;
          for (let i = 0; i <= j; i++) power *= factor;
          sum += power;
        }
        return ((j + 1) * (own - top)) / 8 - Math.log(sum);
      });
      expect(fit).toEqual(expected);
    }),
  );
});
