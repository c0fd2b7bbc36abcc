/**
 * Values of rows, and their exponentials: what src/kernel/engine.ts calls narrow and wide, alone
 * and in vectors. float16 is read as a float32 scaled by 2^-112, which costs no conversion;
 * factors are scaled back.
 */

/** Values whose powers are summed together. */
export const BLOCK: i32 = 512;

/** Types of rows. */
export const F32: i32 = 0;
export const F16: i32 = 1;
export const BF16: i32 = 2;

export const HALF_SCALE: f32 = reinterpret<f32>(0x07800000); // 2^-112
export const HALF_UNSCALE: f32 = reinterpret<f32>(0x77800000); // 2^112
export const HALF_NEGATIVE_INFINITY: u32 = 0xfc00;
export const LOG2E: f32 = 1.4426950216293335;
const LOG2E_WIDE: f64 = 1.4426950408889634;
const MAGIC: f32 = 12583039.0;
const MAGIC_WIDE: f64 = 6755399441055744.0;
const EXPONENT_MIN: f32 = -127.0;
const WIDE_EXPONENT_MIN: f64 = -1022.0;

const D0: f64 = 0.9999999999616818;
const D1: f64 = 0.6931471807284486;
const D2: f64 = 0.24022651198159115;
const D3: f64 = 0.055504103534414345;
const D4: f64 = 0.009618027253445863;
const D5: f64 = 0.0013333922568902117;
const D6: f64 = 0.00015469291214904082;
const D7: f64 = 1.52019203451648e-5;

const C0: f32 = 0.9999992847442627;
const C1: f32 = 0.6931217908859253;
const C2: f32 = 0.240247443318367;
const C3: f32 = 0.05591786280274391;
const C4: f32 = 0.009570102207362652;

/** The value of an id in the row at `base`, exactly. */
// @ts-ignore: decorator
@inline
export function valueAt(base: usize, type: i32, id: i32): f32 {
  if (type == F32) return load<f32>(base + (<usize>id << 2));
  const bits: u32 = load<u16>(base + (<usize>id << 1));
  if (type == BF16) return reinterpret<f32>(bits << 16);
  const magnitude = bits & 0x7fff;
  const sign = (bits & 0x8000) << 16;
  if (magnitude < 0x7c00) return reinterpret<f32>(sign | (magnitude << 13)) * HALF_UNSCALE;
  return reinterpret<f32>(sign | 0x7f800000 | ((magnitude & 0x3ff) << 13));
}

/** Wide powers of two float64. */
// @ts-ignore: decorator
@inline
export function widePowers(x: v128, shift2: v128): v128 {
  const t = f64x2.mul(f64x2.sub(x, shift2), f64x2.splat(LOG2E_WIDE));
  const shifted = f64x2.add(t, f64x2.splat(MAGIC_WIDE));
  const g = f64x2.sub(t, f64x2.sub(shifted, f64x2.splat(MAGIC_WIDE)));
  let r = f64x2.add(f64x2.mul(f64x2.splat(D7), g), f64x2.splat(D6));
  r = f64x2.add(f64x2.mul(r, g), f64x2.splat(D5));
  r = f64x2.add(f64x2.mul(r, g), f64x2.splat(D4));
  r = f64x2.add(f64x2.mul(r, g), f64x2.splat(D3));
  r = f64x2.add(f64x2.mul(r, g), f64x2.splat(D2));
  r = f64x2.add(f64x2.mul(r, g), f64x2.splat(D1));
  r = f64x2.add(f64x2.mul(r, g), f64x2.splat(D0));
  // n + 1023 in the exponent: the low bits of `shifted` are n
  const scale = i64x2.shl(i64x2.add(shifted, i64x2.splat(1023)), 52);
  const tiny = f64x2.lt(t, f64x2.splat(WIDE_EXPONENT_MIN));
  return v128.andnot(f64x2.mul(r, scale), tiny);
}

/** Four values from lane 0 (low) or 4 (high) of eight 16-bit ones. */
// @ts-ignore: decorator
@inline
export function widenLow<T>(h: v128): v128 {
  if (isSigned<T>()) return v128.shuffle<i16>(i16x8.splat(0), h, 0, 8, 1, 9, 2, 10, 3, 11);
  return v128.and(i32x4.shl(i32x4.extend_low_i16x8_s(h), 13), i32x4.splat(0x8fffe000));
}

// @ts-ignore: decorator
@inline
export function widenHigh<T>(h: v128): v128 {
  if (isSigned<T>()) return v128.shuffle<i16>(i16x8.splat(0), h, 4, 12, 5, 13, 6, 14, 7, 15);
  return v128.and(i32x4.shl(i32x4.extend_high_i16x8_s(h), 13), i32x4.splat(0x8fffe000));
}

/** 2^((x − shift) · factor) of four values. */
// @ts-ignore: decorator
@inline
export function powers(x: v128, shift4: v128, factor4: v128): v128 {
  let t = f32x4.mul(f32x4.sub(x, shift4), factor4);
  t = f32x4.pmax(t, f32x4.splat(EXPONENT_MIN));
  const shifted = f32x4.add(t, f32x4.splat(MAGIC));
  const g = f32x4.sub(t, f32x4.sub(shifted, f32x4.splat(MAGIC)));
  let r = f32x4.add(f32x4.mul(f32x4.splat(C4), g), f32x4.splat(C3));
  r = f32x4.add(f32x4.mul(r, g), f32x4.splat(C2));
  r = f32x4.add(f32x4.mul(r, g), f32x4.splat(C1));
  r = f32x4.add(f32x4.mul(r, g), f32x4.splat(C0));
  return f32x4.mul(r, i32x4.shl(shifted, 23));
}
