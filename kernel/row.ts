/**
 * The row engine with SIMD. Equals src/kernel/reference.ts bit for bit; src/kernel/engine.ts says
 * what each step means. One instance holds one row, in memory laid out by `setup`. Rows come as
 * float32 (F32), float16 (F16) or bfloat16 (BF16), the last two as their bits.
 */
import { GROUP, anyNegativeNaN, keepPowers, markReaching, sumOfPowers } from './block.ts';
import { LANES_BYTES, beginDraws, drawBelow, offer } from './draw.ts';
import { align } from './lanes.ts';
import {
  BLOCK,
  F16,
  F32,
  HALF_NEGATIVE_INFINITY,
  LOG2E,
  valueAt,
  widePowers,
} from './powers.ts';
import {
  COUNTS_BYTES,
  idOfKey,
  keyOf,
  nthGreatest,
  quickselect,
  sortByDigits,
  sortKeys,
  valuesOfKeys,
} from './ranking.ts';

/** So many keys are sorted faster by their digits than by comparing them. */
const DIGITS_MIN: i32 = 128;
const BRAIN_NEGATIVE_INFINITY: u32 = 0xff80;

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
let logprobsAt: usize = 0;
let drawnAt: usize = 0;
let widesAt: usize = 0;
let lanesAt: usize = 0;
let countsAt: usize = 0;
let marksAt: usize = 0;
let takenAt: usize = 0;
let powersAt: usize = 0;
let drawnMax: i32 = 0;

/** Whether passes keep the powers: from the first draw on, as who draws once does so always. */
let keeps: bool = false;

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
export function getLogprobs(): usize { return logprobsAt; }
export function getDrawn(): usize { return drawnAt; }
export function getTop(): f32 { return top; }
export function getBelow(): f64 { return below; }
export function getInside(): f64 { return inside; }
export function getOutside(): f64 { return outside; }

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
  logprobsAt = idsAt + align(<usize>k * 4);
  drawnAt = logprobsAt + align(<usize>k * 8);
  widesAt = drawnAt + align(<usize>drawnMax * 4);
  lanesAt = widesAt + align((<usize>width + 1) * 8);
  countsAt = lanesAt + align(LANES_BYTES);
  marksAt = countsAt + COUNTS_BYTES;
  takenAt = marksAt + (<usize>BLOCK / GROUP + 1) * 16;
  powersAt = takenAt + <usize>BLOCK * 4;
  const end = powersAt + (<usize>padded + BLOCK) * 4;
  const pages = <i32>((end + 0xffff) >>> 16);
  if (pages > memory.size() && memory.grow(pages - memory.size()) < 0) unreachable();
  for (let i = width; i < padded; i++) {
    if (type == F32) blank<f32>(i);
    else if (type == F16) blank<u16>(i);
    else blank<i16>(i);
  }
}

// @ts-ignore: decorator
@inline
function addressOf<T>(id: i32): usize {
  return rowAt + <usize>id * sizeof<T>();
}

/** Writes −inf. */
// @ts-ignore: decorator
@inline
function blank<T>(id: i32): void {
  if (isFloat<T>()) store<f32>(addressOf<T>(id), -Infinity);
  else if (isSigned<T>()) store<u16>(addressOf<T>(id), BRAIN_NEGATIVE_INFINITY);
  else store<u16>(addressOf<T>(id), HALF_NEGATIVE_INFINITY);
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
  return nthGreatest(sampleAt, sampled, rank);
}

/** Appends the keys of what reaches the threshold; −inf is no candidate. False on NaN. */
function collect<T>(from: usize, end: usize, first: i32): bool {
  const marksEnd = markReaching<T>(from, end, first, threshold, marksAt);
  let valid = true;
  for (let mark = marksAt; mark < marksEnd; mark += 16) {
    for (let bits = load<u64>(mark); bits != 0; bits &= bits - 1) {
      const id = load<i32>(mark, 8) + <i32>ctz(bits);
      const x = valueAt(rowAt, type, id);
      if (x == -Infinity) continue;
      if (x != x) {
        valid = false;
        continue;
      }
      if (x > top) top = x;
      store<u64>(foundAt + (<usize>count << 3), keyOf(x, id));
      count++;
    }
  }
  return valid;
}

/** Takes what was collected from index `start` on out of the row: −inf vanishes in sums. */
function takeOut<T>(start: i32): void {
  for (let i = start; i < count; i++) {
    const id = idOfKey(load<u64>(foundAt + (<usize>i << 3)));
    store<T>(takenAt + <usize>(i - start) * sizeof<T>(), load<T>(addressOf<T>(id)));
    blank<T>(id);
  }
}

function putBack<T>(start: i32): void {
  for (let i = start; i < count; i++) {
    const id = idOfKey(load<u64>(foundAt + (<usize>i << 3)));
    store<T>(addressOf<T>(id), load<T>(takenAt + <usize>(i - start) * sizeof<T>()));
  }
}

function passOf<T>(): void {
  let valid = true;
  let sum: f64 = 0;
  for (let first = 0, block = blocksAt; first < width; first += BLOCK, block += 8) {
    const from = addressOf<T>(first);
    const end = from + <usize>min(BLOCK, width - first) * sizeof<T>();
    const before = count;
    if (!collect<T>(from, end, first)) valid = false;
    takeOut<T>(before);
    if (!isFloat<T>() && !isSigned<T>() && anyNegativeNaN(from, end)) valid = false;
    const own = keeps
      ? keepPowers<T>(from, end, shift, powersAt + (<usize>first << 2))
      : sumOfPowers<T>(from, end, shift, LOG2E);
    putBack<T>(before);
    store<f64>(block, own);
    sum += own;
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
  if (kept > 0) sumWide(load<u64>(keysAt + (<usize>(kept - 1) << 3)));
  return kept;
}

export function normalise(logTotal: f64): void {
  for (let i = 0; i < kept; i++) {
    const x = valueAt(rowAt, type, load<i32>(idsAt + (<usize>i << 2)));
    store<f64>(logprobsAt + (<usize>i << 3), <f64>x - <f64>shift - logTotal);
  }
}

/** Sums the wide powers of all that was found: of keys less than `last`, and of the others. */
function sumWide(last: u64): void {
  store<u64>(foundAt + (<usize>count << 3), keyOf(-Infinity, 0)); // a pair for the last
  const shift2 = f64x2.splat(<f64>shift);
  const sign2 = i64x2.splat(i64.MIN_VALUE); // keys have none, and are compared as if they had
  const bound2 = v128.xor(i64x2.splat(last), sign2);
  let sums = f64x2.splat(0); // inside, outside
  let i = 0;
  do {
    const keys = v128.load(foundAt + (<usize>i << 3));
    const powers2 = widePowers(valuesOfKeys(keys), shift2);
    v128.store(widesAt + (<usize>i << 3), powers2);
    const isLess = i64x2.lt_s(v128.xor(keys, sign2), bound2);
    const less = v128.and(powers2, isLess);
    const others = v128.andnot(powers2, isLess);
    sums = f64x2.add(sums, v128.shuffle<i64>(others, less, 0, 2));
    sums = f64x2.add(sums, v128.shuffle<i64>(others, less, 1, 3));
    i += 2;
  } while (i < count);
  inside = f64x2.extract_lane(sums, 0);
  outside = f64x2.extract_lane(sums, 1);
}

function scaledSumOf<T>(newShift: f32, factor: f32): f64 {
  let sum: f64 = 0;
  for (let first = 0; first < width; first += BLOCK) {
    const from = addressOf<T>(first);
    const end = from + <usize>min(BLOCK, width - first) * sizeof<T>();
    sum += sumOfPowers<T>(from, end, newShift, factor);
  }
  return sum;
}

export function scaledSum(newShift: f32, factor: f32): f64 {
  if (type == F32) return scaledSumOf<f32>(newShift, factor);
  if (type == F16) return scaledSumOf<u16>(newShift, factor);
  return scaledSumOf<i16>(newShift, factor);
}

export function draw(head: i32, unit: f64, start: f64): i32 {
  if (!keeps) {
    keeps = true;
    pass(threshold, shift);
  }
  beginDraws(drawnAt, drawnMax, lanesAt, powersAt, unit, start);
  let sum: f64 = 0;
  const last: u64 = head == 0 ? u64.MAX_VALUE : load<u64>(keysAt + (<usize>(head - 1) << 3));
  for (let i = 0; i < count; i++) {
    const key = load<u64>(foundAt + (<usize>i << 3));
    if (key >= last) continue;
    const e = load<f64>(widesAt + (<usize>i << 3));
    sum += e;
    offer(idOfKey(key), e, sum);
  }
  return drawBelow(width, blocksAt, sum);
}
