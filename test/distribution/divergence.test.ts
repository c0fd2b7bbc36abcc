import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  cutAndWhole,
  cutDivergence,
  divergence,
  type ExactPosition,
} from '../../src/distribution/divergence.ts';
import type { DecodedTargets } from '../../src/distribution/targets.ts';
import type { Entry } from '../support/targets.ts';

function exactOf(entries: readonly Entry[], tail: number): ExactPosition {
  return {
    ids: Uint32Array.from(entries, ({ id }) => id),
    logprobs: Float32Array.from(entries, ({ p }) => Math.log(p)),
    tail,
  };
}

/** Stored targets with the position of interest second, so that offsets matter. */
function storedOf(entries: readonly Entry[], rest: number): DecodedTargets {
  return {
    kind: 'scaled',
    count: 2,
    offsets: Uint32Array.of(0, 1, 1 + entries.length),
    ids: Uint32Array.from([77, ...entries.map(({ id }) => id)]),
    probs: Float32Array.from([1, ...entries.map(({ p }) => p)]),
    rest: Float32Array.of(0, rest),
  };
}

const measure = (exact: ExactPosition, stored: DecodedTargets, width: number) =>
  divergence(exact, stored, { position: 1, width });

describe('divergence', () => {
  it('is 0 where what is stored is what the teacher said', () => {
    const entries = [
      { id: 3, p: 0.5 },
      { id: 0, p: 0.25 },
    ];
    const found = measure(exactOf(entries, 0.25), storedOf(entries, 0.25), 6);
    expect(found.merged).toBeCloseTo(0, 7);
    expect(found.spread).toBeCloseTo(0, 7); // the other four ids hold 1/16 each in both
    expect(found.mass).toBeCloseTo(0.75, 7);
  });

  it('equals the sum over cells, worked by hand', () => {
    const exact = exactOf(
      [
        { id: 1, p: 0.6 },
        { id: 2, p: 0.3 },
      ],
      0.1,
    );
    const stored = storedOf([{ id: 1, p: 0.5 }], 0.5);
    const { merged, spread, mass } = measure(exact, stored, 11);
    expect(merged).toBeCloseTo(0.6 * Math.log(0.6 / 0.5) + 0.4 * Math.log(0.4 / 0.5), 6);
    const each = 0.5 / 10; // ten ids share the rest: id 2 and the nine outside the list
    const outside = 0.1 * Math.log(0.1 / (9 * each));
    expect(spread).toBeCloseTo(0.6 * Math.log(0.6 / 0.5) + 0.3 * Math.log(0.3 / each) + outside, 6);
    expect(mass).toBeCloseTo(0.6, 6);
  });

  it('is never negative, and spreading never gives less than merging', () => {
    const weights = fc.array(fc.double({ min: 0.001, max: 1, noNaN: true }), {
      minLength: 2,
      maxLength: 12,
    });
    fc.assert(
      fc.property(weights, weights, fc.nat(11), (teacher, own, keep) => {
        const normal = (values: number[]) => {
          const total = values.reduce((a, b) => a + b, 0);
          return values.map((value) => value / total);
        };
        const [tail, ...p] = normal(teacher);
        const [rest, ...q] = normal(own.slice(0, Math.min(own.length, p.length + 1, keep + 2)));
        const exact = exactOf(
          p.map((value, id) => ({ id, p: value })),
          tail,
        );
        const stored = storedOf(
          q.map((value, id) => ({ id, p: value })),
          rest,
        );
        const { merged, spread } = measure(exact, stored, 40);
        expect(merged).toBeGreaterThan(-1e-6);
        expect(spread).toBeGreaterThan(merged - 1e-6);
      }),
    );
  });

  it('is large but finite where the teacher gives mass to a cell that is stored as 0', () => {
    const exact = exactOf(
      [
        { id: 1, p: 0.5 },
        { id: 2, p: 0.5 },
      ],
      0,
    );
    const { merged, spread } = measure(exact, storedOf([{ id: 1, p: 1 }], 0), 10);
    expect(merged).toBeGreaterThan(40);
    expect(spread).toBeGreaterThan(40);
    expect(Number.isFinite(merged + spread)).toBe(true);
  });

  it('does not see masses that float32 rounds to 0', () => {
    const peaked = {
      ids: Uint32Array.of(1, 2),
      logprobs: Float32Array.of(0, -130), // e^-130 is no float32
      tail: 1e-60,
    };
    const stored = storedOf(
      [
        { id: 1, p: 1 },
        { id: 2, p: 0 },
      ],
      0,
    );
    const { merged, spread } = measure(peaked, stored, 10);
    expect(Math.abs(merged)).toBeLessThan(1e-12);
    expect(Math.abs(spread)).toBeLessThan(1e-12);
  });

  it('of a cut list and of the whole one are those of the two lists, bit for bit', () => {
    const entry = fc.record({ id: fc.nat(60), p: fc.double({ min: 0, max: 1, noNaN: true }) });
    const lists = fc.uniqueArray(entry, { selector: ({ id }) => id, maxLength: 40 });
    const mass = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(lists, lists, mass, mass, fc.nat(45), (teacher, own, tail, rest, k) => {
        const exact = exactOf(teacher, tail);
        const stored = storedOf(own, rest);
        const found = cutAndWhole(exact, stored, { position: 1, width: 70, k });
        expect(found.whole).toEqual(measure(exact, stored, 70));
        let outside = tail;
        for (const logprob of exact.logprobs.subarray(k)) outside += Math.exp(logprob);
        const ids = exact.ids.subarray(0, k);
        const cut = { ids, logprobs: exact.logprobs.subarray(0, k), tail: outside };
        expect(found.cut).toEqual(measure(cut, stored, 70));
        expect(cutDivergence(exact, stored, { position: 1, width: 70, k })).toEqual(found.cut);
      }),
    );
  });
});
