/** Keys that rank values, and what selects and sorts them where they lie. */

/** So many are sorted by insertion. */
const FEW: i32 = 16;

/** Float bits in order-preserving form, then ~id: a greater key ranks before. */
// @ts-ignore: decorator
@inline
export function keyOf(x: f32, id: i32): u64 {
  const bits = reinterpret<u32>(x + 0.0); // −0 and 0 are equal values
  const order = bits & 0x80000000 ? ~bits : bits | 0x80000000;
  return ((<u64>order) << 32) | (<u64>(~id) & 0xffffffff);
}

/** The values of two keys, as float64. */
// @ts-ignore: decorator
@inline
export function valuesOfKeys(keys: v128): v128 {
  const order = v128.shuffle<i32>(keys, keys, 1, 3, 1, 3);
  const isNegative = v128.not(i32x4.shr_s(order, 31));
  const bits = v128.xor(order, v128.or(isNegative, i32x4.splat(i32.MIN_VALUE)));
  return f64x2.promote_low_f32x4(bits);
}

// @ts-ignore: decorator
@inline
export function idOfKey(key: u64): i32 {
  return ~(<i32>key);
}

/** State of the pivots' generator: the same rows take the same time. */
let pivots: u32 = 1;

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
export function quickselect<T>(base: usize, from: i32, to: i32, at: i32): void {
  while (from < to) {
    partition<T>(base, from, to);
    if (at <= leftEnd) to = leftEnd;
    else if (at >= rightStart) from = rightStart;
    else return;
  }
}

/** Sorts [from, to] in descending order by insertion. */
function sortFew<T>(base: usize, from: i32, to: i32): void {
  for (let i = from + 1; i <= to; i++) insert<T>(base, from, i);
}

/** Moves the value at `at` to its place in [from, at), which is in descending order. */
// @ts-ignore: decorator
@inline
function insert<T>(base: usize, from: i32, at: i32): void {
  const value = load<T>(base + <usize>at * sizeof<T>());
  let i = at - 1;
  for (; i >= from; i--) {
    const other = load<T>(base + <usize>i * sizeof<T>());
    if (other > value) break;
    store<T>(base + <usize>(i + 1) * sizeof<T>(), other);
  }
  store<T>(base + <usize>(i + 1) * sizeof<T>(), value);
}

/** The rank-th greatest of `length` floats, which are reordered. */
export function nthGreatest(base: usize, length: i32, rank: i32): f32 {
  const last = base + (<usize>(rank - 1) << 2);
  if (rank > FEW) {
    quickselect<f32>(base, 0, length - 1, rank - 1);
    return load<f32>(last);
  }
  sortFew<f32>(base, 0, rank - 1);
  for (let i = rank; i < length; i++) {
    const at = base + (<usize>i << 2);
    const value = load<f32>(at);
    const least = load<f32>(last);
    if (value <= least) continue; // most, where few are ranked
    store<f32>(at, least);
    store<f32>(last, value);
    insert<f32>(base, 0, rank - 1);
  }
  return load<f32>(last);
}

/** Sorts keys [from, to] in descending order; the shorter part by recursion, so never deep. */
export function sortKeys(base: usize, from: i32, to: i32): void {
  while (to - from > FEW) {
    partition<u64>(base, from, to);
    const left = leftEnd;
    const right = rightStart;
    if (left - from < to - right) {
      sortKeys(base, from, left);
      from = right;
    } else {
      sortKeys(base, right, to);
      to = left;
    }
  }
  sortFew<u64>(base, from, to);
}

const DIGITS: i32 = 4;
const DIGIT_VALUES: i32 = 256;
export const COUNTS_BYTES: usize = <usize>(DIGITS * DIGIT_VALUES) << 2;

/** Digit `at` of a key's value; a smaller one ranks before. */
// @ts-ignore: decorator
@inline
function digitOf(key: u64, at: i32): usize {
  return (<usize>~(<u32>(key >> 32)) >> (<usize>at << 3)) & 255;
}

/**
 * Sorts `count` keys into `to` in descending order, where those at `from` ascend by id: by one
 * digit of the value after the other, which branches on no key and leaves equal ones in order.
 * `spare` holds as many; `counts`, COUNTS_BYTES.
 */
export function sortByDigits(
  from: usize,
  count: i32,
  to: usize,
  spare: usize,
  counts: usize,
): void {
  memory.fill(counts, 0, COUNTS_BYTES);
  for (let i = 0; i < count; i++) {
    const key = load<u64>(from + (<usize>i << 3));
    for (let digit = 0; digit < DIGITS; digit++) {
      const at = counts + (((<usize>digit << 8) + digitOf(key, digit)) << 2);
      store<i32>(at, load<i32>(at) + 1);
    }
  }
  const first = load<u64>(from);
  let differing = 0;
  for (let digit = 0; digit < DIGITS; digit++) {
    const same = load<i32>(counts + (((<usize>digit << 8) + digitOf(first, digit)) << 2));
    if (same < count) differing++;
  }
  if (differing == 0) memory.copy(to, from, <usize>count << 3);
  for (let digit = 0, left = differing; left > 0; digit++) {
    const own = counts + (<usize>digit << 10);
    if (load<i32>(own + (digitOf(first, digit) << 2)) == count) continue;
    let before = 0;
    for (let value = 0; value < DIGIT_VALUES; value++) {
      const at = own + (<usize>value << 2);
      const here = load<i32>(at);
      store<i32>(at, before);
      before += here;
    }
    left--;
    const target = left & 1 ? spare : to; // the last one ends in `to`
    for (let i = 0; i < count; i++) {
      const key = load<u64>(from + (<usize>i << 3));
      const at = own + (digitOf(key, digit) << 2);
      const place = load<i32>(at);
      store<i32>(at, place + 1);
      store<u64>(target + (<usize>place << 3), key);
    }
    from = target;
  }
}
