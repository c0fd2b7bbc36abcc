/** Keys that rank values, and what selects and sorts them where they lie. */

/** Float bits in order-preserving form, then ~id: a greater key ranks before. */
// @ts-ignore: decorator
@inline
export function keyOf(x: f32, id: i32): u64 {
  const bits = reinterpret<u32>(x + 0.0); // −0 and 0 are equal values
  const order = bits & 0x80000000 ? ~bits : bits | 0x80000000;
  return ((<u64>order) << 32) | (<u64>(~id) & 0xffffffff);
}

// @ts-ignore: decorator
@inline
export function valueOfKey(key: u64): f32 {
  const order = <u32>(key >> 32);
  return reinterpret<f32>(order & 0x80000000 ? order & 0x7fffffff : ~order);
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

/** Sorts keys [from, to] in descending order; the shorter part by recursion, so never deep. */
export function sortKeys(base: usize, from: i32, to: i32): void {
  while (to - from > 16) {
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
  for (let i = from + 1; i <= to; i++) {
    const key = load<u64>(base + (<usize>i << 3));
    let j = i - 1;
    for (; j >= from; j--) {
      const other = load<u64>(base + (<usize>j << 3));
      if (other > key) break;
      store<u64>(base + (<usize>(j + 1) << 3), other);
    }
    store<u64>(base + (<usize>(j + 1) << 3), key);
  }
}
