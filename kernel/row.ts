/**
 * The row engine with SIMD. Equals src/kernel/reference.ts bit for bit; src/kernel/engine.ts says
 * what each step means. One instance holds one row, in memory laid out by `setup`. Rows come as
 * float32 (F32), float16 (F16) or bfloat16 (BF16), the last two as their bits.
 */
import { LANES_BYTES, beginDraws, drawBelow, offer } from './draw.ts';
import {
  BLOCK,
  F16,
  F32,
  HALF_SCALE,
  HALF_UNSCALE,
  LOG2E,
  lanesSum,
  powers,
  valueAt,
  widenHigh,
  widenLow,
  widePowers,
} from './powers.ts';
import {
  COUNTS_BYTES,
  idOfKey,
  keyOf,
  quickselect,
  sortByDigits,
  sortKeys,
  valueOfKey,
} from './ranking.ts';

const GROUP: i32 = 16;
/** So many keys are sorted faster by their digits than by comparing them. */
const DIGITS_MIN: i32 = 128;
const HALF_NEGATIVE_INFINITY: u32 = 0xfc00;

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
let widesAt: usize = 0;
let lanesAt: usize = 0;
let countsAt: usize = 0;
let drawnMax: i32 = 0;

let count: i32 = 0;
let kept: i32 = 0;
let threshold: f32 = 0;
let shift: f32 = 0;
let top: f32 = 0;
let below: f64 = 0;
let inside: f64 = 0;
let outside: f64 = 0;

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
  widesAt = drawnAt + align(<usize>drawnMax * 4);
  lanesAt = widesAt + align((<usize>width + 1) * 8);
  countsAt = lanesAt + align(LANES_BYTES);
  const end = countsAt + COUNTS_BYTES;
  const pages = <i32>((end + 0xffff) >>> 16);
  if (pages > memory.size() && memory.grow(pages - memory.size()) < 0) unreachable();
  for (let i = width; i < padded; i++) {
    if (type == F32) store<f32>(rowAt + (<usize>i << 2), -Infinity);
    else store<u16>(rowAt + (<usize>i << 1), type == F16 ? HALF_NEGATIVE_INFINITY : 0xff80);
  }
}

export function sample(): f32 {
  let max: f32 = -Infinity;
  for (let i = 0, id = 0; i < sampled; i++, id += stride) {
    const x = valueAt(rowAt, type, id);
    store<f32>(sampleAt + (<usize>i << 2), x);
    if (!(x <= max)) max = x;
    if (x != x) return x;
  }
  return max;
}

export function nth(rank: i32): f32 {
  quickselect<f32>(sampleAt, 0, sampled - 1, rank - 1);
  return load<f32>(sampleAt + (<usize>(rank - 1) << 2));
}

/** Appends the keys of a group whose bits are set; −inf is no candidate. False on NaN. */
function collect(first: i32, bits: i32): bool {
  while (bits != 0) {
    const id = first + ctz(bits);
    bits &= bits - 1;
    const x = valueAt(rowAt, type, id);
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
  kept = min(k, count);
  if (count >= DIGITS_MIN) {
    sortByDigits(foundAt, count, keysAt, widesAt, countsAt);
  } else {
    memory.copy(keysAt, foundAt, <usize>count << 3);
    if (kept < count) quickselect<u64>(keysAt, 0, count - 1, kept - 1);
    sortKeys(keysAt, 0, kept - 1);
  }
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
    const pair = widePowers(valueOfKey(key), valueOfKey(next), shift);
    v128.store(widesAt + (<usize>i << 3), pair);
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
  beginDraws(drawnAt, drawnMax, lanesAt, unit, start);
  let sum: f64 = 0;
  const last: u64 = head == 0 ? u64.MAX_VALUE : load<u64>(keysAt + (<usize>(head - 1) << 3));
  for (let i = 0; i < count; i++) {
    const key = load<u64>(foundAt + (<usize>i << 3));
    if (key >= last) continue;
    const e = load<f64>(widesAt + (<usize>i << 3));
    sum += e;
    offer(idOfKey(key), e, sum);
  }
  return drawBelow(rowAt, type, width, threshold, shift, blocksAt, sum);
}
