import fc from 'fast-check';
import { expect, it } from 'vitest';
import { fromFloat16, toFloat16 } from '../../src/formats/float16.ts';
import { halfValue } from '../support/naive.ts';

/** The nearest float16 by search over all finite values: ties go to the even pattern. */
function nearest(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const x = Math.abs(value);
  if (x >= 65_520) return sign | 0x7c00; // half a step beyond the largest: rounds to infinity
  let low = 0; // positive patterns ascend with their values
  let high = 0x7bff;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (halfValue(middle) <= x) low = middle;
    else high = middle - 1;
  }
  if (low === 0x7bff) return sign | low;
  const below = x - halfValue(low);
  const above = halfValue(low + 1) - x;
  const up = above < below || (above === below && low % 2 === 1);
  return sign | (up ? low + 1 : low);
}

it('gives every one of the 65,536 patterns its value', () => {
  const bits = Uint16Array.from({ length: 65_536 }, (_, i) => i);
  const values = fromFloat16(bits);
  for (const i of bits)
    if (!Object.is(values[i], halfValue(i))) expect(values[i]).toBe(halfValue(i));
});

it('gives every pattern back, NaN as NaN', () => {
  const bits = Uint16Array.from({ length: 65_536 }, (_, i) => i);
  const back = toFloat16(fromFloat16(bits));
  for (const i of bits) {
    if (Number.isNaN(halfValue(i))) expect(Number.isNaN(halfValue(back[i]))).toBe(true);
    else if (back[i] !== i) expect(back[i]).toBe(i);
  }
});

it('rounds to nearest even: every tie, and the floats on both sides of it', () => {
  for (let i = 0; i < 0x7bff; i++) {
    const tie = (halfValue(i) + halfValue(i + 1)) / 2; // exact in float32
    const bits = new Uint32Array(Float32Array.of(tie).buffer)[0];
    const around = new Float32Array(Uint32Array.of(bits - 1, bits, bits + 1).buffer);
    const expected = [i, i % 2 === 0 ? i : i + 1, i + 1];
    const got = toFloat16(around);
    if (String(got) !== String(expected)) expect([tie, ...got]).toEqual([tie, ...expected]);
  }
});

it('carries into the exponent: −1.9999 becomes −2', () => {
  const found = fromFloat16(toFloat16(Float32Array.of(-1.9999, 65_519.9, 65_520, 2 ** -25, 1e-7)));
  expect(Array.from(found)).toEqual([-2, 65_504, Infinity, 0, Math.fround(2 * 2 ** -24)]);
});

it('rounds any float32 to the nearest', () => {
  const floats = fc.oneof(
    fc.float({ noNaN: true }),
    fc.float({ noNaN: true, min: -70_000, max: 70_000 }),
    fc.float({ noNaN: true, min: Math.fround(-1e-4), max: Math.fround(1e-4) }),
  );
  fc.assert(
    fc.property(floats, (value) => {
      expect(toFloat16(Float32Array.of(value))[0]).toBe(nearest(value));
    }),
    { numRuns: 20_000 },
  );
});
