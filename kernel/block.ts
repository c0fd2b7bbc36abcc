/**
 * What is asked of a block of a row: the sum of its powers, and whether and where it reaches the
 * threshold. Loops have their test at the end and hold no rare case: constants then stay in
 * registers. Blocks are read in whole groups: the row's end is padded with −inf.
 */
import {
  HALF_NEGATIVE_INFINITY,
  HALF_SCALE,
  HALF_UNSCALE,
  LOG2E,
  powers,
  widenHigh,
  widenLow,
} from './powers.ts';

/** Values of a row's padding. */
export const GROUP: i32 = 64;

/** The sum of 2^((x − shift) · factor): sixteen lanes, added up as the reference does. */
export function sumOfPowers<T>(from: usize, end: usize, shift: f32, factor: f32): f64 {
  return sum<T>(from, end, shift, factor, false, 0);
}

/** The same; the powers are written from `list` on. */
export function keepPowers<T>(from: usize, end: usize, shift: f32, list: usize): f64 {
  return sum<T>(from, end, shift, LOG2E, true, list);
}

// @ts-ignore: decorator
@inline
function sum<T>(
  from: usize, end: usize, shift: f32, factor: f32, keeps: bool, list: usize,
): f64 {
  const isHalf = !isFloat<T>() && !isSigned<T>();
  const shift4 = f32x4.splat(isHalf ? shift * HALF_SCALE : shift);
  const factor4 = f32x4.splat(isHalf ? factor * HALF_UNSCALE : factor);
  let a = f32x4.splat(0);
  let b = f32x4.splat(0);
  let c = f32x4.splat(0);
  let d = f32x4.splat(0);
  let at = from;
  let to = list;
  do {
    let x: v128, y: v128, z: v128, w: v128;
    if (isFloat<T>()) {
      x = v128.load(at);
      y = v128.load(at, 16);
      z = v128.load(at, 32);
      w = v128.load(at, 48);
    } else {
      const low = v128.load(at);
      const high = v128.load(at, 16);
      x = widenLow<T>(low);
      y = widenHigh<T>(low);
      z = widenLow<T>(high);
      w = widenHigh<T>(high);
    }
    x = powers(x, shift4, factor4);
    y = powers(y, shift4, factor4);
    z = powers(z, shift4, factor4);
    w = powers(w, shift4, factor4);
    a = f32x4.add(a, x);
    b = f32x4.add(b, y);
    c = f32x4.add(c, z);
    d = f32x4.add(d, w);
    if (keeps) {
      v128.store(to, x);
      v128.store(to, y, 16);
      v128.store(to, z, 32);
      v128.store(to, w, 48);
      to += 64;
    }
    at += 16 * sizeof<T>();
  } while (at < end);
  const h = f32x4.add(f32x4.add(a, b), f32x4.add(c, d));
  return (
    <f64>f32x4.extract_lane(h, 0) +
    <f64>f32x4.extract_lane(h, 1) +
    (<f64>f32x4.extract_lane(h, 2) + <f64>f32x4.extract_lane(h, 3))
  );
}

/** What `reaches` flips of 16 bits, and what lanes are then compared with. */
// @ts-ignore: decorator
@inline
function flipOf(threshold: f32): v128 {
  return i16x8.splat(threshold > 0 ? 0 : 0x7fff);
}

// @ts-ignore: decorator
@inline
function leastOf<T>(threshold: f32): v128 {
  if (isFloat<T>()) return f32x4.splat(threshold);
  const x: f32 = threshold == 0 ? -0.0 : threshold; // which both zeros reach
  let bits = reinterpret<u32>(x) >>> 16;
  if (!isSigned<T>()) {
    const magnitude = reinterpret<u32>(x * HALF_SCALE) >>> 13;
    bits = (bits & 0x8000) | (magnitude & 0x7fff);
  }
  const least = v128.xor(i16x8.splat(<i16>bits), flipOf(threshold));
  return i16x8.sub(least, i16x8.splat(1));
}

/**
 * The lanes that reach the threshold. Bits of 16 compare as signed integers where it is above 0,
 * and with all but the sign flipped where it is not. NaNs without a sign then reach it.
 */
// @ts-ignore: decorator
@inline
function reaches<T>(x: v128, flip: v128, least: v128): v128 {
  return isFloat<T>() ? f32x4.ge(x, least) : i16x8.gt_s(v128.xor(x, flip), least);
}

/** A bit for each of 16 values. */
// @ts-ignore: decorator
@inline
function reaching<T>(at: usize, flip: v128, least: v128): u64 {
  let low = reaches<T>(v128.load(at), flip, least);
  let high = reaches<T>(v128.load(at, 16), flip, least);
  if (isFloat<T>()) {
    low = i16x8.narrow_i32x4_s(low, high);
    high = i16x8.narrow_i32x4_s(
      reaches<T>(v128.load(at, 32), flip, least),
      reaches<T>(v128.load(at, 48), flip, least),
    );
  }
  return i8x16.bitmask(i8x16.narrow_i16x8_s(low, high));
}

/**
 * Writes the groups of 64 values of which any reach the threshold, a value of the row's type or
 * −inf: bits that say which, and the id of the first. Returns where the list ends. It branches on
 * no value: branches that no one can predict would take longer.
 */
export function markReaching<T>(
  from: usize, end: usize, firstId: i32, threshold: f32, list: usize,
): usize {
  const flip = flipOf(threshold);
  const least = leastOf<T>(threshold);
  let at = from;
  let id = firstId;
  let to = list;
  do {
    const bits =
      reaching<T>(at, flip, least) |
      (reaching<T>(at + 16 * sizeof<T>(), flip, least) << 16) |
      (reaching<T>(at + 32 * sizeof<T>(), flip, least) << 32) |
      (reaching<T>(at + 48 * sizeof<T>(), flip, least) << 48);
    store<u64>(to, bits);
    store<i32>(to, id, 8);
    to += <usize>(bits != 0) << 4;
    at += 64 * sizeof<T>();
    id += 64;
  } while (at < end);
  return to;
}

/** Whether any of a block's float16 is a NaN with a sign: bits above −inf's. */
export function anyNegativeNaN(from: usize, end: usize): bool {
  let greatest = i16x8.splat(0);
  let at = from;
  do {
    const low = i16x8.max_u(v128.load(at), v128.load(at, 16));
    const high = i16x8.max_u(v128.load(at, 32), v128.load(at, 48));
    greatest = i16x8.max_u(greatest, i16x8.max_u(low, high));
    at += 64;
  } while (at < end);
  return v128.any_true(i16x8.gt_u(greatest, i16x8.splat(<i16>HALF_NEGATIVE_INFINITY)));
}
