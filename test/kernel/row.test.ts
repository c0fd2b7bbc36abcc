import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FloatType } from '../../src/distribution/rows.ts';
import { createRowKernel } from '../../src/kernel/row.ts';
import { random } from '../support/dump.ts';
import {
  brainValue,
  halfValue,
  logSoftmax,
  logSumExp,
  logZ,
  ranked,
  sum,
} from '../support/naive.ts';

const temperatures = [0.5, 2, 7.5];
/** Of the log-sum-exp, whose terms are float32. */
const accuracy = 3e-6;
/** A term below 2^−126 of the largest vanishes. */
const vanishing = 2 ** -126;

/** Compares one row with the naive reading of it. */
function check(values: Float32Array | Uint16Array, row: number[], k: number, type: FloatType) {
  const width = row.length;
  const kernel = createRowKernel({ k, width, type, temperatures });
  const count = kernel.run(values, 0);
  const ids = ranked(row, k);
  expect(Array.from(kernel.ids.subarray(0, count))).toEqual(ids);
  const logps = logSoftmax(row);
  const near = (got: number, wanted: number) => {
    const bound = accuracy * Math.max(1, Math.abs(wanted));
    if (!(Math.abs(got - wanted) <= bound)) expect(got).toBe(wanted);
  };
  near(kernel.lse, logSumExp(row));
  for (const [i, id] of ids.entries()) near(kernel.logprobs[i], logps[id]);
  for (const [i, t] of temperatures.entries()) near(kernel.logZ[i], logZ(row, t));
  const kept = new Set(ids);
  const outside = sum(row.map((_, id) => (kept.has(id) ? 0 : Math.exp(logps[id]))));
  const rest = kernel.rest;
  if (!(Math.abs(rest - outside) <= 1e-5 * outside + width * vanishing)) expect(rest).toBe(outside);
  for (const id of [0, width >> 1, width - 1]) {
    if (row[id] === Number.NEGATIVE_INFINITY) expect(kernel.logprob(id)).toBe(row[id]);
    else near(kernel.logprob(id), logps[id]);
  }
}

const checkFloats = (row: Float32Array, k: number) => check(row, Array.from(row), k, 'f32');

const widths = fc.constantFrom(1, 2, 3, 63, 64, 65, 1023, 1024, 1025, 5000);

/** k on both sides of the width and of the quarter from which the threshold is guessed. */
function kFor(width: number, pick: number): number {
  const some = [1, 2, width >> 2, (width >> 2) + 1, width - 1, width, width + 1, 3 * width];
  return Math.max(1, some[pick % some.length]);
}

describe('the row kernel', () => {
  it('equals sorting and a float64 log-sum-exp on random rows', () => {
    const shape = fc.record({
      width: widths,
      pick: fc.nat(7),
      seed: fc.nat(),
      /** How many different values there are: few make ties. */
      values: fc.constantFrom(1, 2, 5, 1_000_000),
      scale: fc.constantFrom(1e-3, 1, 40, 1e4),
      missing: fc.constantFrom(0, 0.5, 0.99),
    });
    fc.assert(
      fc.property(shape, ({ width, pick, seed, values, scale, missing }) => {
        const next = random(seed);
        const row = Float32Array.from({ length: width }, (_, id) => {
          if (id > 0 && next() < missing) return Number.NEGATIVE_INFINITY;
          return (Math.floor(next() * values) / values - 0.5) * scale;
        });
        checkFloats(row, kFor(width, pick));
      }),
      { numRuns: 400 },
    );
  });

  it('equals them on arbitrary floats: subnormals, extremes, both zeros, −inf', () => {
    const special = [0, -0, 1e-45, -1e-45, 3.4028234e38, -3.4028234e38, -Infinity, -1, 88, -104];
    const value = fc.oneof(
      fc.constantFrom(...special),
      fc.float({ noNaN: true, max: Math.fround(3.4e38) }),
    );
    const rows = fc.array(value, { minLength: 1, maxLength: 80 });
    fc.assert(
      fc.property(rows, fc.integer({ min: 1, max: 90 }), (row, k) => {
        fc.pre(row.some((x) => x !== Number.NEGATIVE_INFINITY));
        checkFloats(Float32Array.from(row), k);
      }),
      { numRuns: 1500 },
    );
  });

  it.each(['sorted', 'reversed', 'peak at the end', 'peaks between samples', 'peaks on samples'])(
    'keeps the right entries where the threshold is guessed badly: %s',
    (order) => {
      const width = 9000;
      const row = Float32Array.from({ length: width }, (_, id) => {
        if (order === 'sorted') return id / 100;
        if (order === 'reversed') return -id / 100;
        if (order === 'peak at the end') return id < width - 1 ? 0 : 5;
        if (order === 'peaks on samples') return id % 32 === 0 ? 10 + id : -(id % 5);
        return id % 8 === 3 ? 10 : -(id % 5); // ids that no stride of 8 or more meets
      });
      for (const k of [1, 64, 1200, 2249, 2250, 8999]) checkFloats(row, k);
    },
  );

  it.each(['f16', 'bf16'] as const)('reads every finite pattern of %s exactly', (type) => {
    const toNumber = type === 'f16' ? halfValue : brainValue;
    const patterns = Uint16Array.from({ length: 65_536 }, (_, bits) => bits).filter(
      (bits) => toNumber(bits) < Number.POSITIVE_INFINITY,
    );
    const row = Array.from(patterns, toNumber);
    check(patterns, row, 64, type);
    check(patterns, row, 70_000, type);
  });

  it('reads the row that starts at the index given, and keeps nothing of the one before', () => {
    const values = Float32Array.of(9, 9, 9, 9, 1, 2, -Infinity, 2, 9);
    const kernel = createRowKernel({ k: 4, width: 4, type: 'f32', temperatures: [] });
    expect(kernel.run(values, 0)).toBe(4);
    expect(kernel.run(values, 4)).toBe(3);
    expect(Array.from(kernel.ids.subarray(0, 3))).toEqual([1, 3, 0]);
    expect(kernel.logprob(2)).toBe(Number.NEGATIVE_INFINITY);
  });
});

describe('the mass outside the entries', () => {
  it.each([5, 30, 80])('is exact under a peak of %d nats', (height) => {
    const row = Float32Array.from({ length: 3000 }, (_, id) => (id === 17 ? height : -(id % 11)));
    for (const k of [1, 5, 2999, 3000]) checkFloats(row, k);
    const kernel = createRowKernel({ k: 1, width: 3000, type: 'f32', temperatures: [] });
    kernel.run(row, 0);
    expect(kernel.rest).toBeGreaterThan(0);
  });

  it('vanishes under a peak that float32 terms cannot see beside', () => {
    const row = Float32Array.from({ length: 3000 }, (_, id) => (id === 17 ? 300 : -(id % 11)));
    checkFloats(row, 5);
    const kernel = createRowKernel({ k: 1, width: 3000, type: 'f32', temperatures: [] });
    kernel.run(row, 0);
    expect(kernel.rest).toBeLessThan(3000 * vanishing);
  });
});

describe('the row kernel refuses a row', () => {
  const bad = {
    f32: [Number.NaN, Number.POSITIVE_INFINITY],
    f16: [0x7c00, 0x7c01, 0x7e00, 0xfe00, 0xffff],
    bf16: [0x7f80, 0x7f81, 0x7fc0, 0xffc0, 0xff81],
  };
  for (const type of ['f32', 'f16', 'bf16'] as const) {
    it.each(bad[type])(`of ${type} with %d, wherever it stands`, (value) => {
      for (const at of [0, 700, 1499]) {
        const values = type === 'f32' ? new Float32Array(1500) : new Uint16Array(1500);
        values[at] = value;
        const kernel = createRowKernel({ k: 8, width: 1500, type, temperatures: [] });
        expect(() => kernel.run(values, 0)).toThrowError(
          expect.objectContaining({ code: 'row-invalid' }),
        );
      }
    });
  }

  it('with a NaN whose sign bit is set', () => {
    const values = new Float32Array(Uint32Array.of(0, 0xffc00000, 0).buffer);
    const kernel = createRowKernel({ k: 1, width: 3, type: 'f32', temperatures: [] });
    expect(() => kernel.run(values, 0)).toThrowError(
      expect.objectContaining({ code: 'row-invalid', message: expect.stringContaining('id 1') }),
    );
  });

  it('without a finite entry', () => {
    const values = new Float32Array(5).fill(Number.NEGATIVE_INFINITY);
    const kernel = createRowKernel({ k: 1, width: 5, type: 'f32', temperatures: [] });
    expect(() => kernel.run(values, 0)).toThrowError(
      expect.objectContaining({ code: 'row-invalid' }),
    );
  });
});
