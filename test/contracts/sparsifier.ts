/** What every sparsifier of scaled targets must do: one suite, run by each sparsifier's own test. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DenseRows, FloatType, ListRows, Rows } from '../../src/distribution/rows.ts';
import type { Targets } from '../../src/distribution/targets.ts';
import type { Sparsifier } from '../../src/sparsify/sparsifier.ts';
import { brainValue, halfValue, logSoftmax, logZ, sum } from '../support/naive.ts';

export function dense(
  rows: readonly (readonly number[])[],
  { width = rows[0]?.length ?? 1, type = 'f32' as FloatType } = {},
): DenseRows {
  const flat = rows.flat();
  const values = type === 'f32' ? Float32Array.from(flat) : Uint16Array.from(flat);
  return { form: 'dense', count: rows.length, width, type, values };
}

export interface ListPosition {
  readonly ids: readonly number[];
  readonly probs: readonly number[];
}

export function lists(
  positions: readonly ListPosition[],
  more: { width?: number; tail?: readonly number[]; labelLogprob?: readonly number[] } = {},
): ListRows {
  const { width = 1000, tail, labelLogprob } = more;
  const offsets = new Uint32Array(positions.length + 1);
  positions.forEach(({ ids }, t) => {
    offsets[t + 1] = offsets[t] + ids.length;
  });
  return {
    form: 'lists',
    count: positions.length,
    width,
    offsets,
    ids: Uint32Array.from(positions.flatMap(({ ids }) => ids)),
    logprobs: Float32Array.from(positions.flatMap(({ probs }) => probs.map(Math.log))),
    ...(tail && { tail: Float32Array.from(tail) }),
    ...(labelLogprob && { labelLogprob: Float32Array.from(labelLogprob) }),
  };
}

export interface ContextChange {
  readonly labels?: readonly number[];
  readonly temperatures?: readonly number[];
}

export function sparsify(sparsifier: Sparsifier, rows: Rows, change: ContextChange = {}): Targets {
  const { labels = new Array(rows.count).fill(-1), temperatures = [] } = change;
  return sparsifier.sparsify(rows, {
    labels: Int32Array.from(labels),
    temperatures,
    sampleId: new Uint8Array(16),
    position: 0,
  });
}

/** Entries of position t. */
export function entriesOf(targets: Targets, t: number): { ids: number[]; logprobs: number[] } {
  const [from, to] = [targets.offsets[t], targets.offsets[t + 1]];
  return {
    ids: Array.from(targets.ids.subarray(from, to)),
    logprobs: Array.from(targets.logprobs.subarray(from, to)),
  };
}

const relative = 3e-6; // the log-sum-exp of float32 terms, and float32 rounded once

export function expectNear(got: number, wanted: number, bound = relative): void {
  const near = Math.abs(got - wanted) <= bound * Math.max(1, Math.abs(wanted));
  if (!near && !Object.is(got, wanted)) expect(got).toBe(wanted);
}

/** Proves one position of dense rows: exact log-probs, rank order, the mass outside in `rest`. */
export function expectPosition(targets: Targets, t: number, row: readonly number[]): void {
  const { ids, logprobs } = entriesOf(targets, t);
  const exact = logSoftmax(row);
  ids.forEach((id, i) => {
    expectNear(logprobs[i], exact[id]);
    if (i === 0) return;
    const before = ids[i - 1];
    if (row[before] < row[id] || (row[before] === row[id] && before >= id)) {
      expect(ids).toBe('value descending, id ascending');
    }
  });
  expect(new Set(ids).size).toBe(ids.length);
  const kept = new Set(ids);
  const outside = sum(exact.map((logp, id) => (kept.has(id) ? 0 : Math.exp(logp))));
  const bound = 1e-5 * outside + row.length * 2 ** -126; // smaller terms vanish
  if (!(Math.abs(targets.rest[t] - outside) <= bound)) expect(targets.rest[t]).toBe(outside);
}

function expectShape(targets: Targets, rows: Rows, temperatures: number): void {
  const { count, offsets, ids, logprobs, rest, labelLogprob } = targets;
  expect(count).toBe(rows.count);
  expect(offsets).toHaveLength(count + 1);
  expect(offsets[0]).toBe(0);
  expect([ids.length, logprobs.length]).toEqual([offsets[count], offsets[count]]);
  expect([rest.length, labelLogprob.length]).toEqual([count, count]);
  expect(targets.logZ).toHaveLength(count * temperatures);
  expect(ids.every((id) => id < rows.width)).toBe(true);
  expect(rest.every((mass) => mass >= 0 && mass <= 1)).toBe(true);
}

const codes = (code: string) => expect.objectContaining({ code });

/** `open` gives the sparsifier with at most `k` entries a position. */
export function describeSparsifier(name: string, open: (k: number) => Sparsifier): void {
  describe(`${name} as a sparsifier`, () => {
    it('says what it is', () => {
      const sparsifier = open(5);
      expect(sparsifier).toMatchObject({ name, kind: 'scaled', entriesMax: 5 });
    });

    it('keeps exact log-probs in rank order and the other mass in `rest`, on random rows', () => {
      const value = fc.oneof(
        fc.float({ noNaN: true, min: -60, max: 60 }),
        fc.constantFrom(0, -0, 3, Number.NEGATIVE_INFINITY),
      );
      const rows = fc
        .integer({ min: 1, max: 40 })
        .chain((width) =>
          fc.array(fc.array(value, { minLength: width, maxLength: width }), {
            minLength: 1,
            maxLength: 6,
          }),
        )
        .filter((all) => all.every((row) => row.some(Number.isFinite)));
      fc.assert(
        fc.property(rows, fc.integer({ min: 1, max: 45 }), (all, k) => {
          const given = dense(all);
          const targets = sparsify(open(k), given, { temperatures: [0.7, 4] });
          expectShape(targets, given, 2);
          all.forEach((row, t) => {
            expectPosition(targets, t, row);
            expect(targets.offsets[t + 1] - targets.offsets[t]).toBeLessThanOrEqual(k);
            expectNear(targets.logZ[2 * t], logZ(row, 0.7));
            expectNear(targets.logZ[2 * t + 1], logZ(row, 4));
          });
        }),
      );
    });

    it("gives the label's own log-prob, kept or not, and NaN where there is no label", () => {
      const row = [0, 5, 3, -2, Number.NEGATIVE_INFINITY];
      const exact = logSoftmax(row);
      const all = [1, 3, 4, -1].map(() => row);
      const { labelLogprob } = sparsify(open(1), dense(all), { labels: [1, 3, 4, -1] });
      expectNear(labelLogprob[0], exact[1]);
      expectNear(labelLogprob[1], exact[3]);
      expect(labelLogprob[2]).toBe(Number.NEGATIVE_INFINITY);
      expect(labelLogprob[3]).toBeNaN();
    });

    it.each([
      ['a constant row', new Array(300).fill(-7.25)],
      ['one finite entry', [-Infinity, -Infinity, -40, -Infinity]],
      ['a peak 300 above the rest', [0, 0, 300, 0, -1]],
      ['a row of width 1', [12]],
      ['large offsets', [1e30, 1e30, 0]],
    ])('reads %s', (_, row) => {
      for (const k of [1, 2, row.length, row.length + 7]) {
        const targets = sparsify(open(k), dense([row]), { temperatures: [2] });
        expectPosition(targets, 0, row);
        expectNear(targets.logZ[0], logZ(row, 2));
      }
    });

    it.each([
      ['f16', halfValue, [0, 0x8000, 1, 0x8001, 0x03ff, 0x0400, 0x7bff, 0xfbff, 0xfc00, 0x3c00]],
      ['bf16', brainValue, [0, 0x8000, 1, 0x8001, 0x007f, 0x0080, 0xff7f, 0xff80, 0x3f80, 0x4000]],
    ] as const)('reads %s: zeros, subnormals, extremes, −inf', (type, toNumber, bits) => {
      const targets = sparsify(open(20), dense([bits], { type }));
      expectPosition(targets, 0, bits.map(toNumber));
    });

    it.each([
      ['f32', [Number.NaN, Number.POSITIVE_INFINITY]],
      ['f16', [0x7c00, 0x7e00, 0xfe00]],
      ['bf16', [0x7f80, 0x7fc0, 0xffc0]],
    ] as const)('refuses NaN of either sign and +inf in %s', (type, bad) => {
      for (const value of bad) {
        const rows = dense(
          [
            [0, 1, 0],
            [1, value, 0],
          ],
          { type },
        );
        expect(() => sparsify(open(2), rows)).toThrowError(codes('row-invalid'));
      }
    });

    it('refuses a row without a finite entry', () => {
      const rows = dense([
        [0, 0],
        [-Infinity, -Infinity],
      ]);
      expect(() => sparsify(open(2), rows)).toThrowError(codes('row-invalid'));
    });

    it('refuses fewer values than rows × width', () => {
      const rows = { ...dense([[1, 2, 3]]), count: 2 };
      expect(() => sparsify(open(2), rows)).toThrowError(codes('source-mismatch'));
    });
  });

  describeLists(name, open);
}

function describeLists(name: string, open: (k: number) => Sparsifier): void {
  describe(`${name} over top lists`, () => {
    const position = { ids: [7, 3, 900], probs: [0.5, 0.3, 0.1] };

    it('takes a whole list with its tail', () => {
      const targets = sparsify(open(3), lists([position], { tail: [0.1] }));
      expect(entriesOf(targets, 0).ids).toEqual([7, 3, 900]);
      expect(targets.rest[0]).toBe(Math.fround(0.1));
    });

    it('takes 1 − Σ p as the rest where no tail is given', () => {
      const targets = sparsify(open(3), lists([position]));
      expectNear(targets.rest[0], 0.1);
    });

    it.each([
      ['a tail', [0.1]],
      ['no tail', undefined],
    ])('moves what is cut into the rest: %s', (_, tail) => {
      const targets = sparsify(open(1), lists([position], { tail }));
      expect(entriesOf(targets, 0).ids).toEqual([7]);
      expectNear(targets.rest[0], 0.5);
    });

    it('leaves no rest of 0 while entries with mass are cut', () => {
      const rounded = { ids: [1, 2], probs: [1, 1e-9] };
      const targets = sparsify(open(1), lists([rounded]));
      expectNear(targets.rest[0] * 1e9, 1);
    });

    it('takes an empty list as a position without a target', () => {
      const empty = { ids: [], probs: [] };
      const targets = sparsify(open(2), lists([empty, position, empty], { tail: [0, 0.1, 0] }));
      expect(Array.from(targets.offsets)).toEqual([0, 0, 2, 2]);
      expect([targets.rest[0], targets.rest[2]]).toEqual([1, 1]);
    });

    it('finds the label in the list, also beyond K, and takes the one that the source gives', () => {
      const rows = [position, position, position];
      const found = sparsify(open(1), lists(rows), { labels: [7, 900, 8] }).labelLogprob;
      expectNear(found[0], Math.log(0.5));
      expectNear(found[1], Math.log(0.1));
      expect(found[2]).toBeNaN();
      const given = lists(rows, { labelLogprob: [-9, Number.NaN, -8] });
      const { labelLogprob } = sparsify(open(1), given, { labels: [7, 900, 8] });
      expect(Array.from(labelLogprob)).toEqual([-9, Number.NaN, -8]);
    });

    it('leaves out entries without mass', () => {
      const targets = sparsify(open(3), lists([{ ids: [1, 2], probs: [1, 0] }]));
      expect(entriesOf(targets, 0).ids).toEqual([1]);
    });

    it.each([Number.NaN, Number.POSITIVE_INFINITY])('refuses a log-prob of %d', (bad) => {
      for (const at of [0, 2]) {
        const rows = lists([position]);
        rows.logprobs[at] = bad;
        expect(() => sparsify(open(1), rows)).toThrowError(codes('row-invalid'));
      }
    });

    it('refuses temperatures: a list does not hold log Z_T', () => {
      const given = lists([position]);
      expect(() => sparsify(open(1), given, { temperatures: [2] })).toThrowError(
        codes('config-invalid'),
      );
    });
  });
}
