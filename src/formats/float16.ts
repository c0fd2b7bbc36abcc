/**
 * float16 to float32 and back, rounding to nearest even (apache-arrow's builder drops the carry).
 */

/** Bits of the nearest float16: ties to even, overflow to infinity, NaN stays NaN. */
export function toFloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) out[i] = halfBits(bits[i]);
  return out;
}

export function fromFloat16(bits: Uint16Array): Float32Array {
  const out = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = floatOfHalf[bits[i]];
  return out;
}

/** float32 of every float16: a load is ten times faster than the arithmetic. */
export const floatOfHalf: Float32Array = floatsOfHalves();

function floatsOfHalves(): Float32Array {
  const floats = new Float32Array(65_536);
  for (let exponent = 0; exponent < 31; exponent++) {
    const least = exponent === 0 ? 0 : 1024; // below lie the subnormal numbers
    const unit = 2 ** (Math.max(1, exponent) - 25);
    for (let mantissa = 0; mantissa < 1024; mantissa++) {
      floats[exponent * 1024 + mantissa] = (least + mantissa) * unit;
    }
  }
  floats[31 * 1024] = Number.POSITIVE_INFINITY;
  for (let half = 0; half < 0x8000; half++) floats[0x8000 + half] = -floats[half];
  for (const sign of [0, 0x8000]) floats.fill(Number.NaN, sign + 31 * 1024 + 1, sign + 0x8000);
  return floats;
}

function halfBits(float: number): number {
  const sign = (float >>> 16) & 0x8000;
  const x = float & 0x7fffffff;
  if (x >= 0x7f800000) return sign | (x > 0x7f800000 ? 0x7e00 : 0x7c00);
  if (x >= 0x477ff000) return sign | 0x7c00; // 65520 and above round to infinity
  if (x >= 0x38800000) return sign | roundShift(x - 0x38000000, 13);
  if (x <= 0x33000000) return sign; // 2^-25 is a tie, and 0 is even
  return sign | roundShift((x & 0x7fffff) | 0x800000, 126 - (x >>> 23));
}

/** x / 2^shift, rounded to nearest, ties to even; a carry moves into the exponent as it should. */
function roundShift(x: number, shift: number): number {
  const quotient = x >>> shift;
  const remainder = x & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return remainder > half || (remainder === half && (quotient & 1) === 1) ? quotient + 1 : quotient;
}
