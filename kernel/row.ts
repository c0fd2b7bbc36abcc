/**
 * The row engine with SIMD. Equals src/kernel/reference.ts bit for bit; src/kernel/engine.ts says
 * what each step means. One instance holds one row, in memory laid out by `setup`.
 *
 * Rows come as float32 (F32), float16 (F16) or bfloat16 (BF16), the last two as their bits. float16
 * is read as a float32 scaled by 2^-112, which costs no conversion; factors are scaled back.
 */

const F32: i32 = 0;
const F16: i32 = 1;
const BF16: i32 = 2;

const BLOCK: i32 = 512;
const GROUP: i32 = 16;
const HALF_SCALE: f32 = reinterpret<f32>(0x07800000); // 2^-112
const HALF_UNSCALE: f32 = reinterpret<f32>(0x77800000); // 2^112
const HALF_NEGATIVE_INFINITY: u32 = 0xfc00;

const LOG2E: f32 = 1.4426950216293335;
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

let width: i32 = 0;
let type: i32 = 0;
let stride: i32 = 0;
let sampled: i32 = 0;

let rowAt: usize = 0;
let sampleAt: usize = 0;
let blocksAt: usize = 0;
let foundAt: usize = 0;
let keysAt: usize = 0;
let idsAt: usize = 0;
let drawnAt: usize = 0;
let drawnMax: i32 = 0;

let count: i32 = 0;
let kept: i32 = 0;
let threshold: f32 = 0;
let shift: f32 = 0;
let top: f32 = 0;
let below: f64 = 0;
let inside: f64 = 0;
let outside: f64 = 0;
/** State of the pivots' generator: the same rows take the same time. */
let pivots: u32 = 1;

export function getRow(): usize { return rowAt; }
export function getIds(): usize { return idsAt; }
export function getDrawn(): usize { return drawnAt; }
export function getTop(): f32 { return top; }
export function getBelow(): f64 { return below; }
export function getInside(): f64 { return inside; }
export function getOutside(): f64 { return outside; }

// @ts-ignore: decorator
@inline
function align(bytes: usize): usize {
  return (bytes + 15) & ~(<usize>15);
}

/** Lays the memory out for rows of `rowWidth` values and `k` entries, and grows it to fit. */
export function setup(rowWidth: i32, rowType: i32, rowStride: i32, k: i32): void {
  width = rowWidth;
  type = rowType;
  stride = rowStride;
  sampled = (width + stride - 1) / stride;
  drawnMax = k + 2;
  const padded = ((width + GROUP - 1) / GROUP) * GROUP;
  const size: usize = type == F32 ? 4 : 2;
  rowAt = align(__heap_base);
  sampleAt = rowAt + align(<usize>padded * size);
  blocksAt = sampleAt + align(<usize>sampled * 4);
  foundAt = blocksAt + align((<usize>padded / BLOCK + 1) * 8);
  keysAt = foundAt + align((<usize>width + 1) * 8);
  idsAt = keysAt + align(<usize>width * 8);
  drawnAt = idsAt + align(<usize>k * 4);
  const end = drawnAt + align(<usize>drawnMax * 4);
  const pages = <i32>((end + 0xffff) >>> 16);
  if (pages > memory.size() && memory.grow(pages - memory.size()) < 0) unreachable();
  for (let i = width; i < padded; i++) {
    if (type == F32) store<f32>(rowAt + (<usize>i << 2), -Infinity);
    else store<u16>(rowAt + (<usize>i << 1), type == F16 ? HALF_NEGATIVE_INFINITY : 0xff80);
  }
}

/** The value of an id, exactly. */
// @ts-ignore: decorator
@inline
function valueOf(id: i32): f32 {
  if (type == F32) return load<f32>(rowAt + (<usize>id << 2));
  const bits: u32 = load<u16>(rowAt + (<usize>id << 1));
  if (type == BF16) return reinterpret<f32>(bits << 16);
  const magnitude = bits & 0x7fff;
  const sign = (bits & 0x8000) << 16;
  if (magnitude < 0x7c00) return reinterpret<f32>(sign | (magnitude << 13)) * HALF_UNSCALE;
  return reinterpret<f32>(sign | 0x7f800000 | ((magnitude & 0x3ff) << 13));
}

/** Float bits in order-preserving form, then ~id: a greater key ranks before. */
// @ts-ignore: decorator
@inline
function keyOf(x: f32, id: i32): u64 {
  const bits = reinterpret<u32>(x + 0.0); // −0 and 0 are equal values
  const order = bits & 0x80000000 ? ~bits : bits | 0x80000000;
  return ((<u64>order) << 32) | (<u64>(~id) & 0xffffffff);
}

// @ts-ignore: decorator
@inline
function valueOfKey(key: u64): f32 {
  const order = <u32>(key >> 32);
  return reinterpret<f32>(order & 0x80000000 ? order & 0x7fffffff : ~order);
}

// @ts-ignore: decorator
@inline
function idOfKey(key: u64): i32 {
  return ~(<i32>key);
}

function narrowPower(x: f32): f32 {
  let t = (x - shift) * LOG2E;
  if (t < EXPONENT_MIN) t = EXPONENT_MIN; // NaN stays
  const shifted = t + MAGIC;
  const g = t - (shifted - MAGIC);
  const r = (((C4 * g + C3) * g + C2) * g + C1) * g + C0;
  return r * reinterpret<f32>(reinterpret<u32>(shifted) << 23);
}

/** Two wide powers; the lanes are what widePower gives. */
function widePowers(x: f32, y: f32): v128 {
  const values = f64x2.replace_lane(f64x2.splat(<f64>x), 1, <f64>y);
  const t = f64x2.mul(f64x2.sub(values, f64x2.splat(<f64>shift)), f64x2.splat(LOG2E_WIDE));
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

function widePower(x: f32): f64 {
  return f64x2.extract_lane(widePowers(x, x), 0);
}
export function sample(): f32 {
  let max: f32 = -Infinity;
  for (let i = 0, id = 0; i < sampled; i++, id += stride) {
    const x = valueOf(id);
    store<f32>(sampleAt + (<usize>i << 2), x);
    if (!(x <= max)) max = x;
    if (x != x) return x;
  }
  return max;
}

// @ts-ignore: decorator
@inline
function pivotBetween(from: i32, to: i32): i32 {
  pivots = pivots * 1664525 + 1013904223;
  return from + <i32>(((<u64>pivots) * <u64>(to - from + 1)) >> 32);
}

/** Ends of the parts that `partition` leaves: [from, leftEnd] before [rightStart, to]. */
let leftEnd: i32 = 0;
let rightStart: i32 = 0;

/** Parts [from, to] by a value of it: none of the left is less than any of the right. */
function partition<T>(base: usize, from: i32, to: i32): void {
  const pivot = load<T>(base + <usize>pivotBetween(from, to) * sizeof<T>());
  let i = from;
  let j = to;
  while (i <= j) {
    while (load<T>(base + <usize>i * sizeof<T>()) > pivot) i++;
    while (load<T>(base + <usize>j * sizeof<T>()) < pivot) j--;
    if (i > j) break;
    const a = load<T>(base + <usize>i * sizeof<T>());
    store<T>(base + <usize>i * sizeof<T>(), load<T>(base + <usize>j * sizeof<T>()));
    store<T>(base + <usize>j * sizeof<T>(), a);
    i++;
    j--;
  }
  leftEnd = j;
  rightStart = i;
}

/** Moves the greatest values of [from, to] to its front until index `at` holds its rank's own. */
function quickselect<T>(base: usize, from: i32, to: i32, at: i32): void {
  while (from < to) {
    partition<T>(base, from, to);
    if (at <= leftEnd) to = leftEnd;
    else if (at >= rightStart) from = rightStart;
    else return;
  }
}

/** Sorts keys [from, to] in descending order; the shorter part by recursion, so never deep. */
function sortKeys(from: i32, to: i32): void {
  while (to - from > 16) {
    partition<u64>(keysAt, from, to);
    const left = leftEnd;
    const right = rightStart;
    if (left - from < to - right) {
      sortKeys(from, left);
      from = right;
    } else {
      sortKeys(right, to);
      to = left;
    }
  }
  for (let i = from + 1; i <= to; i++) {
    const key = load<u64>(keysAt + (<usize>i << 3));
    let j = i - 1;
    for (; j >= from; j--) {
      const other = load<u64>(keysAt + (<usize>j << 3));
      if (other > key) break;
      store<u64>(keysAt + (<usize>(j + 1) << 3), other);
    }
    store<u64>(keysAt + (<usize>(j + 1) << 3), key);
  }
}

export function nth(rank: i32): f32 {
  quickselect<f32>(sampleAt, 0, sampled - 1, rank - 1);
  return load<f32>(sampleAt + (<usize>(rank - 1) << 2));
}

/** Four values from lane 0 (low) or 4 (high) of eight 16-bit ones. */
// @ts-ignore: decorator
@inline
function widenLow<T>(h: v128): v128 {
  if (isSigned<T>()) return v128.shuffle<i16>(i16x8.splat(0), h, 0, 8, 1, 9, 2, 10, 3, 11);
  return v128.and(i32x4.shl(i32x4.extend_low_i16x8_s(h), 13), i32x4.splat(0x8fffe000));
}

// @ts-ignore: decorator
@inline
function widenHigh<T>(h: v128): v128 {
  if (isSigned<T>()) return v128.shuffle<i16>(i16x8.splat(0), h, 4, 12, 5, 13, 6, 14, 7, 15);
  return v128.and(i32x4.shl(i32x4.extend_high_i16x8_s(h), 13), i32x4.splat(0x8fffe000));
}

/** 2^((x − shift) · factor) of four values. */
// @ts-ignore: decorator
@inline
function powers(x: v128, shift4: v128, factor4: v128): v128 {
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

// @ts-ignore: decorator
@inline
function lanesSum(a: v128, b: v128, c: v128, d: v128): f64 {
  const h = f32x4.add(f32x4.add(a, b), f32x4.add(c, d));
  return (
    <f64>f32x4.extract_lane(h, 0) +
    <f64>f32x4.extract_lane(h, 1) +
    (<f64>f32x4.extract_lane(h, 2) + <f64>f32x4.extract_lane(h, 3))
  );
}

/** Appends the keys of a group whose bits are set; −inf is no candidate. False on NaN. */
function collect(first: i32, bits: i32): bool {
  while (bits != 0) {
    const id = first + ctz(bits);
    bits &= bits - 1;
    const x = valueOf(id);
    if (x == -Infinity) continue;
    if (x != x) return false;
    if (x > top) top = x;
    store<u64>(foundAt + (<usize>count << 3), keyOf(x, id));
    count++;
  }
  return true;
}

/** The group's values as four vectors live in these. */
function passOf<T>(): void {
  const isHalf = !isFloat<T>() && !isSigned<T>();
  const scale: f32 = isHalf ? HALF_SCALE : 1;
  const threshold4 = f32x4.splat(threshold * scale);
  const shift4 = f32x4.splat(shift * scale);
  const factor4 = f32x4.splat(isHalf ? LOG2E * HALF_UNSCALE : LOG2E);
  let greatest = i16x8.splat(0); // of float16's bits: above −inf's lie the NaNs of negative sign
  const none = f32x4.splat(-Infinity);
  let valid = true;
  let sum: f64 = 0;
  for (let from = 0, block: usize = 0; from < width; from += BLOCK, block++) {
    const to = min(from + BLOCK, width);
    let a = f32x4.splat(0);
    let b = f32x4.splat(0);
    let c = f32x4.splat(0);
    let d = f32x4.splat(0);
    for (let i = from; i < to; i += GROUP) {
      const at = rowAt + <usize>i * sizeof<T>();
      let x0: v128, x1: v128, x2: v128, x3: v128;
      if (isFloat<T>()) {
        x0 = v128.load(at);
        x1 = v128.load(at, 16);
        x2 = v128.load(at, 32);
        x3 = v128.load(at, 48);
      } else {
        const low = v128.load(at);
        const high = v128.load(at, 16);
        if (isHalf) greatest = i16x8.max_u(greatest, i16x8.max_u(low, high));
        x0 = widenLow<T>(low);
        x1 = widenHigh<T>(low);
        x2 = widenLow<T>(high);
        x3 = widenHigh<T>(high);
      }
      const m0 = f32x4.ge(x0, threshold4);
      const m1 = f32x4.ge(x1, threshold4);
      const m2 = f32x4.ge(x2, threshold4);
      const m3 = f32x4.ge(x3, threshold4);
      if (v128.any_true(v128.or(v128.or(m0, m1), v128.or(m2, m3)))) {
        const bits =
          i32x4.bitmask(m0) |
          (i32x4.bitmask(m1) << 4) |
          (i32x4.bitmask(m2) << 8) |
          (i32x4.bitmask(m3) << 12);
        if (!collect(i, bits)) valid = false;
        // what was collected is summed apart: −inf vanishes in these sums
        x0 = v128.bitselect(none, x0, m0);
        x1 = v128.bitselect(none, x1, m1);
        x2 = v128.bitselect(none, x2, m2);
        x3 = v128.bitselect(none, x3, m3);
      }
      a = f32x4.add(a, powers(x0, shift4, factor4));
      b = f32x4.add(b, powers(x1, shift4, factor4));
      c = f32x4.add(c, powers(x2, shift4, factor4));
      d = f32x4.add(d, powers(x3, shift4, factor4));
    }
    const own = lanesSum(a, b, c, d);
    store<f64>(blocksAt + (block << 3), own);
    sum += own;
  }
  if (isHalf) {
    const bound = i16x8.splat(<i16>HALF_NEGATIVE_INFINITY);
    if (v128.any_true(i16x8.gt_u(greatest, bound))) valid = false;
  }
  below = valid ? sum : NaN;
}

export function pass(newThreshold: f32, newShift: f32): i32 {
  threshold = newThreshold;
  shift = newShift;
  count = 0;
  top = -Infinity;
  if (type == F32) passOf<f32>();
  else if (type == F16) passOf<u16>();
  else passOf<i16>();
  return count;
}

export function select(k: i32): i32 {
  memory.copy(keysAt, foundAt, <usize>count << 3);
  kept = min(k, count);
  if (kept < count) quickselect<u64>(keysAt, 0, count - 1, kept - 1);
  sortKeys(0, kept - 1);
  for (let i = 0; i < kept; i++) {
    store<i32>(idsAt + (<usize>i << 2), idOfKey(load<u64>(keysAt + (<usize>i << 3))));
  }
  inside = 0;
  outside = 0;
  const last = load<u64>(keysAt + (<usize>(kept - 1) << 3));
  store<u64>(foundAt + (<usize>count << 3), 0); // a pair for the last
  for (let i = 0; i < count; i += 2) {
    const key = load<u64>(foundAt + (<usize>i << 3));
    const next = load<u64>(foundAt + (<usize>i << 3), 8);
    const pair = widePowers(valueOfKey(key), valueOfKey(next));
    const e = f64x2.extract_lane(pair, 0);
    if (key < last) outside += e;
    else inside += e;
    if (i + 1 == count) break;
    const f = f64x2.extract_lane(pair, 1);
    if (next < last) outside += f;
    else inside += f;
  }
  return kept;
}

function scaledSumOf<T>(newShift: f32, factor: f32): f64 {
  const isHalf = !isFloat<T>() && !isSigned<T>();
  const shift4 = f32x4.splat(isHalf ? newShift * HALF_SCALE : newShift);
  const factor4 = f32x4.splat(isHalf ? factor * HALF_UNSCALE : factor);
  let sum: f64 = 0;
  for (let from = 0; from < width; from += BLOCK) {
    const to = min(from + BLOCK, width);
    let a = f32x4.splat(0);
    let b = f32x4.splat(0);
    let c = f32x4.splat(0);
    let d = f32x4.splat(0);
    for (let i = from; i < to; i += GROUP) {
      const at = rowAt + <usize>i * sizeof<T>();
      if (isFloat<T>()) {
        a = f32x4.add(a, powers(v128.load(at), shift4, factor4));
        b = f32x4.add(b, powers(v128.load(at, 16), shift4, factor4));
        c = f32x4.add(c, powers(v128.load(at, 32), shift4, factor4));
        d = f32x4.add(d, powers(v128.load(at, 48), shift4, factor4));
      } else {
        const low = v128.load(at);
        const high = v128.load(at, 16);
        a = f32x4.add(a, powers(widenLow<T>(low), shift4, factor4));
        b = f32x4.add(b, powers(widenHigh<T>(low), shift4, factor4));
        c = f32x4.add(c, powers(widenLow<T>(high), shift4, factor4));
        d = f32x4.add(d, powers(widenHigh<T>(high), shift4, factor4));
      }
    }
    sum += lanesSum(a, b, c, d);
  }
  return sum;
}

export function scaledSum(newShift: f32, factor: f32): f64 {
  if (type == F32) return scaledSumOf<f32>(newShift, factor);
  if (type == F16) return scaledSumOf<u16>(newShift, factor);
  return scaledSumOf<i16>(newShift, factor);
}

export function draw(head: i32, unit: f64, start: f64): i32 {
  let drawn = 0;
  let sum: f64 = 0;
  let next = start * unit;
  const last: u64 = head == 0 ? u64.MAX_VALUE : load<u64>(keysAt + (<usize>(head - 1) << 3));
  for (let i = 0; i < count; i++) {
    const key = load<u64>(foundAt + (<usize>i << 3));
    if (key >= last) continue;
    const e = widePower(valueOfKey(key));
    sum += e;
    if (!(next < sum) || e == 0 || drawn == drawnMax) continue;
    store<i32>(drawnAt + (<usize>drawn << 2), idOfKey(key));
    drawn++;
    next = (start + <f64>drawn) * unit;
  }
  for (let from = 0, block: usize = 0; from < width; from += BLOCK, block++) {
    const after = sum + load<f64>(blocksAt + (block << 3));
    if (next < after) {
      const to = min(from + BLOCK, width);
      for (let id = from; id < to; id++) {
        const x = valueOf(id);
        if (x >= threshold) continue;
        const e = <f64>narrowPower(x);
        sum += e;
        if (!(next < sum) || e == 0 || drawn == drawnMax) continue;
        store<i32>(drawnAt + (<usize>drawn << 2), id);
        drawn++;
        next = (start + <f64>drawn) * unit;
      }
    }
    sum = after;
  }
  return drawn;
}
