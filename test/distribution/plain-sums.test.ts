import fc from 'fast-check';
import { expect, it } from 'vitest';
import { divergence, type ExactPosition, squaredError } from '../../src/distribution/divergence.ts';
import type { DecodedTargets } from '../../src/distribution/targets.ts';
import type { Entry } from '../support/targets.ts';

const id = fc.oneof(fc.nat(30), fc.integer({ min: 2 ** 31 - 2, max: 2 ** 32 - 1 }));
const p = fc.oneof(fc.constantFrom(0, 1, 2 ** -149), fc.double({ min: 0, max: 1, noNaN: true }));
const entries = fc.array(fc.record({ id, p }), { maxLength: 60, size: 'max' });

interface Drawn {
  readonly teacher: readonly Entry[];
  readonly own: readonly Entry[];
  readonly tail: number;
  readonly rest: number;
  readonly width: number;
}
const lists: fc.Arbitrary<Drawn> = fc.record({
  teacher: entries,
  own: entries,
  tail: p,
  rest: p,
  width: fc.nat(99),
});

interface Case {
  readonly exact: ExactPosition;
  readonly stored: DecodedTargets;
  readonly width: number;
}

function caseOf({ teacher, own, tail, rest, width }: Drawn): Case {
  return {
    exact: {
      ids: Uint32Array.from(teacher, (one) => one.id),
      logprobs: Float32Array.from(teacher, (one) => Math.log(one.p)), // −∞ of 0
      tail,
    },
    stored: {
      kind: 'scaled',
      count: 2,
      offsets: Uint32Array.of(0, 1, 1 + own.length),
      ids: Uint32Array.from([7, ...own.map((one) => one.id)]),
      probs: Float32Array.from([1, ...own.map((one) => one.p)]),
      rest: Float32Array.of(0, rest),
    },
    width,
  };
}

/** Of an id that comes twice, the last one. */
const byId = ({ ids, probs }: DecodedTargets) =>
  new Map([...ids].slice(1).map((one, i) => [one, probs[i + 1]]));

function plainDivergence({ exact, stored, width }: Case) {
  const term = (mass: number, log: number, q: number) =>
    mass > 0 ? mass * (log - Math.log(Math.max(q, 2 ** -149))) : 0;
  const kept = byId(stored);
  const rest = stored.rest[1];
  const each = rest / Math.max(1, width - (stored.ids.length - 1));
  let [merged, spread, apart, mass, outside] = [0, 0, 0, 0, exact.tail];
  exact.ids.forEach((one, i) => {
    const log = exact.logprobs[i];
    const own = Math.exp(log);
    const stands = kept.get(one);
    apart += Math.abs(own - (stands ?? each));
    spread += term(own, log, stands ?? each);
    if (stands === undefined) outside += own;
    else {
      merged += term(own, log, stands);
      mass += own;
    }
  });
  merged += term(outside, Math.log(outside), rest);
  const others = each * Math.max(1, width - exact.ids.length);
  spread += term(exact.tail, Math.log(exact.tail), others);
  apart += Math.abs(exact.tail - others);
  return { merged, spread, variation: apart / 2, mass };
}

function plainError({ exact, stored }: Case) {
  const kept = byId(stored);
  let [error, mass] = [0, 0];
  for (const weight of stored.probs.subarray(1)) {
    error += weight * weight;
    mass += weight;
  }
  exact.ids.forEach((one, i) => {
    const own = Math.exp(exact.logprobs[i]);
    error += own * (own - 2 * (kept.get(one) ?? 0));
  });
  return { error, mass };
}

it('divergence and squared error are those found through a Map, bit for bit', () => {
  fc.assert(
    fc.property(lists, (drawn) => {
      const own = caseOf(drawn);
      const { exact, stored, width } = own;
      expect(divergence(exact, stored, { position: 1, width })).toEqual(plainDivergence(own));
      expect(squaredError(exact, stored, 1)).toEqual(plainError(own));
    }),
  );
});
