/**
 * The entries of one position, sixteen at a time. What lies behind the last one is read and written
 * too, but never looked at: others follow there, or slack.
 */

const GROUP: usize = 16;

/** Bits of the entries that a group has, of `left` ones. */
// @ts-ignore: decorator
@inline
function present(left: usize): i32 {
  return left < GROUP ? (1 << <i32>left) - 1 : 0xffff;
}

/** Eight 16-bit integers of the bytes of two planes. */
// @ts-ignore: decorator
@inline
function joinLow(low: v128, high: v128): v128 {
  return v128.shuffle<i8>(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

// @ts-ignore: decorator
@inline
function joinHigh(low: v128, high: v128): v128 {
  return v128.shuffle<i8>(low, high, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

// @ts-ignore: decorator
@inline
function sumsWithin(x: v128): v128 {
  const pairs = i32x4.add(x, v128.shuffle<i32>(i32x4.splat(0), x, 3, 4, 5, 6));
  return i32x4.add(pairs, v128.shuffle<i32>(i32x4.splat(0), pairs, 2, 3, 4, 5));
}

// @ts-ignore: decorator
@inline
function last(x: v128): v128 {
  return v128.shuffle<i32>(x, x, 3, 3, 3, 3);
}

/** Lanes that are not above the one before; a sum that wrapped around is not. */
// @ts-ignore: decorator
@inline
function falls(before: v128, x: v128): v128 {
  return i32x4.le_u(x, v128.shuffle<i32>(before, x, 3, 4, 5, 6));
}

/** Adds up deltas; false where ids do not ascend to at most `maxId`. */
export function idsOf(
  at: usize,
  m: usize,
  planes: usize,
  count: usize,
  to: usize,
  maxId: u32,
): bool {
  let before = i32x4.splat(0);
  let bad = 0;
  let looked = ~1; // the first one is no sum
  for (let i: usize = 0; i < count; i += GROUP) {
    const from = at + i;
    const low = v128.load(from);
    const high = v128.load(from + m);
    let a = joinLow(low, high);
    let c = joinHigh(low, high);
    let b: v128, d: v128;
    if (planes == 2) {
      b = i32x4.extend_high_i16x8_u(a);
      d = i32x4.extend_high_i16x8_u(c);
      a = i32x4.extend_low_i16x8_u(a);
      c = i32x4.extend_low_i16x8_u(c);
    } else {
      const third = v128.load(from + 2 * m);
      const fourth = planes == 3 ? i8x16.splat(0) : v128.load(from + 3 * m);
      const e = joinLow(third, fourth);
      const f = joinHigh(third, fourth);
      b = v128.shuffle<i16>(a, e, 4, 12, 5, 13, 6, 14, 7, 15);
      d = v128.shuffle<i16>(c, f, 4, 12, 5, 13, 6, 14, 7, 15);
      a = v128.shuffle<i16>(a, e, 0, 8, 1, 9, 2, 10, 3, 11);
      c = v128.shuffle<i16>(c, f, 0, 8, 1, 9, 2, 10, 3, 11);
    }
    a = i32x4.add(sumsWithin(a), last(before));
    b = i32x4.add(sumsWithin(b), last(a));
    c = i32x4.add(sumsWithin(c), last(b));
    d = i32x4.add(sumsWithin(d), last(c));
    const first = i16x8.narrow_i32x4_s(falls(before, a), falls(a, b));
    const second = i16x8.narrow_i32x4_s(falls(b, c), falls(c, d));
    bad |= i8x16.bitmask(i8x16.narrow_i16x8_s(first, second)) & present(count - i) & looked;
    looked = -1;
    before = d;
    const out = to + 4 * i;
    v128.store(out, a);
    v128.store(out, b, 16);
    v128.store(out, c, 32);
    v128.store(out, d, 48);
  }
  return bad == 0 && load<u32>(to + 4 * (count - 1)) <= maxId;
}

/** Bits of the zeros among `left` levels. */
// @ts-ignore: decorator
@inline
function zeros(low: v128, high: v128, left: usize): i32 {
  return i8x16.bitmask(i8x16.eq(v128.or(low, high), i8x16.splat(0))) & present(left);
}

/** The levels as they are; false where one is 0. */
export function integersOf(at: usize, m: usize, count: usize, to: usize): bool {
  let bad = 0;
  for (let i: usize = 0; i < count; i += GROUP) {
    const low = v128.load(at + i);
    const high = v128.load(at + m + i);
    bad |= zeros(low, high, count - i);
    v128.store(to + 2 * i, joinLow(low, high));
    v128.store(to + 2 * i, joinHigh(low, high), 16);
  }
  return bad == 0;
}

/** Two sums of four unsigned integers. */
// @ts-ignore: decorator
@inline
function wide(x: v128): v128 {
  return i64x2.add(v128.and(x, i64x2.splat(0xffffffff)), i64x2.shr_u(x, 32));
}

/** Float64 of the first two of four unsigned integers, and of the others. */
// @ts-ignore: decorator
@inline
function lowOf(x: v128): v128 {
  return f64x2.convert_low_i32x4_u(x);
}

// @ts-ignore: decorator
@inline
function highOf(x: v128): v128 {
  return f64x2.convert_low_i32x4_u(v128.shuffle<i32>(x, x, 2, 3, 2, 3));
}

/** Rounds to float32. */
// @ts-ignore: decorator
@inline
function narrowed(low: v128, high: v128): v128 {
  const a = f32x4.demote_f64x2_zero(low);
  return v128.shuffle<i32>(a, f32x4.demote_f64x2_zero(high), 0, 1, 4, 5);
}

// @ts-ignore: decorator
@inline
function scaledBy(squares: v128, scale: v128): v128 {
  return narrowed(f64x2.mul(lowOf(squares), scale), f64x2.mul(highOf(squares), scale));
}

/** Probabilities of levels: their squares, scaled so that they sum to 1 − mass. */
export function valuesOf(at: usize, m: usize, count: usize, to: usize, mass: f32): bool {
  let sums = i64x2.splat(0);
  let bad = 0;
  for (let i: usize = 0; i < count; i += GROUP) {
    const low = v128.load(at + i);
    const high = v128.load(at + m + i);
    const left = count - i;
    bad |= zeros(low, high, left);
    let a = joinLow(low, high);
    let b = joinHigh(low, high);
    if (left < GROUP) {
      const bound = i16x8.splat(<i16>left);
      a = v128.and(a, i16x8.gt_s(bound, i16x8(0, 1, 2, 3, 4, 5, 6, 7)));
      b = v128.and(b, i16x8.gt_s(bound, i16x8(8, 9, 10, 11, 12, 13, 14, 15)));
    }
    const out = to + 4 * i;
    const p = i32x4.extmul_low_i16x8_u(a, a);
    const q = i32x4.extmul_high_i16x8_u(a, a);
    const r = i32x4.extmul_low_i16x8_u(b, b);
    const s = i32x4.extmul_high_i16x8_u(b, b);
    sums = i64x2.add(sums, i64x2.add(i64x2.add(wide(p), wide(q)), i64x2.add(wide(r), wide(s))));
    v128.store(out, p);
    v128.store(out, q, 16);
    v128.store(out, r, 32);
    v128.store(out, s, 48);
  }
  const sum = i64x2.extract_lane(sums, 0) + i64x2.extract_lane(sums, 1);
  const scale = f64x2.splat((1 - <f64>mass) / <f64>(<u64>sum));
  for (let i: usize = 0; i < count; i += GROUP) {
    const out = to + 4 * i;
    const p = scaledBy(v128.load(out), scale);
    const q = scaledBy(v128.load(out, 16), scale);
    const r = scaledBy(v128.load(out, 32), scale);
    const s = scaledBy(v128.load(out, 48), scale);
    v128.store(out, p);
    v128.store(out, q, 16);
    v128.store(out, r, 32);
    v128.store(out, s, 48);
  }
  return bad == 0;
}

// @ts-ignore: decorator
@inline
function weights(levels: v128, step: v128, tau: v128): v128 {
  const low = f64x2.mul(lowOf(levels), step);
  const high = f64x2.mul(highOf(levels), step);
  const above = narrowed(f64x2.mul(low, low), f64x2.mul(high, high));
  return v128.bitselect(tau, above, i32x4.eq(levels, i32x4.splat(0)));
}

/** Weights of levels: (level · step)², and tau at level 0. */
export function weightsOf(
  at: usize,
  m: usize,
  count: usize,
  to: usize,
  step: f64,
  tau: f32,
): void {
  const step2 = f64x2.splat(step);
  const tau4 = f32x4.splat(tau);
  for (let i: usize = 0; i < count; i += GROUP) {
    const low = v128.load(at + i);
    const high = v128.load(at + m + i);
    const a = joinLow(low, high);
    const b = joinHigh(low, high);
    const out = to + 4 * i;
    v128.store(out, weights(i32x4.extend_low_i16x8_u(a), step2, tau4));
    v128.store(out, weights(i32x4.extend_high_i16x8_u(a), step2, tau4), 16);
    v128.store(out, weights(i32x4.extend_low_i16x8_u(b), step2, tau4), 32);
    v128.store(out, weights(i32x4.extend_high_i16x8_u(b), step2, tau4), 48);
  }
}

// @ts-ignore: decorator
@inline
function squared(x: v128): v128 {
  return f64x2.mul(x, x);
}

/** Probabilities of levels, those from 32,768 on by what they leave to 1. */
// @ts-ignore: decorator
@inline
function scores(levels: v128, step: v128): v128 {
  const high = i32x4.gt_s(levels, i32x4.splat(0x7fff));
  const near = v128.bitselect(i32x4.sub(i32x4.splat(0xffff), levels), levels, high);
  const a = squared(f64x2.mul(lowOf(near), step));
  const b = squared(f64x2.mul(highOf(near), step));
  const one = f64x2.splat(1);
  const below = narrowed(f64x2.sub(one, a), f64x2.sub(one, b));
  return v128.bitselect(below, narrowed(a, b), high);
}

/** The level, or from 32,768 on what it leaves to 65,535; above the most that it may be. */
// @ts-ignore: decorator
@inline
function exceeds(levels: v128, most: v128): v128 {
  const high = i16x8.lt_s(levels, i16x8.splat(0));
  return i16x8.gt_s(v128.xor(levels, high), most);
}

/** False where a level is 0, or none of a probability. */
export function areScores(at: usize, m: usize, count: usize, most: i16): bool {
  const most8 = i16x8.splat(most);
  let bad = 0;
  for (let i: usize = 0; i < count; i += GROUP) {
    const low = v128.load(at + i);
    const high = v128.load(at + m + i);
    const a = exceeds(joinLow(low, high), most8);
    const b = exceeds(joinHigh(low, high), most8);
    const above = i8x16.bitmask(i8x16.narrow_i16x8_s(a, b));
    bad |= zeros(low, high, count - i) | (above & present(count - i));
  }
  return bad == 0;
}

/** Independent probabilities of levels. */
export function scoresOf(at: usize, m: usize, count: usize, to: usize, step: f64): void {
  const step2 = f64x2.splat(step);
  for (let i: usize = 0; i < count; i += GROUP) {
    const low = v128.load(at + i);
    const high = v128.load(at + m + i);
    const a = joinLow(low, high);
    const b = joinHigh(low, high);
    const out = to + 4 * i;
    v128.store(out, scores(i32x4.extend_low_i16x8_u(a), step2));
    v128.store(out, scores(i32x4.extend_high_i16x8_u(a), step2), 16);
    v128.store(out, scores(i32x4.extend_low_i16x8_u(b), step2), 32);
    v128.store(out, scores(i32x4.extend_high_i16x8_u(b), step2), 48);
  }
}
