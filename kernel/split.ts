/** Integers split into planes of their bytes, sixteen at a time. */
import { firstHalves, secondHalves } from './lanes.ts';

const GROUP: usize = 16;

/** The bytes 0 of eight integers of 32 bits, then their bytes 1; and their bytes 2 and 3. */
// @ts-ignore: decorator
@inline
function lowBytes(a: v128, b: v128): v128 {
  return v128.shuffle<i8>(a, b, 0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29);
}

// @ts-ignore: decorator
@inline
function highBytes(a: v128, b: v128): v128 {
  return v128.shuffle<i8>(a, b, 2, 6, 10, 14, 18, 22, 26, 30, 3, 7, 11, 15, 19, 23, 27, 31);
}

/** Splits `count` integers of 32 bits into 2, 3 or 4 planes, one behind the other. */
export function splitWords(from: usize, count: usize, planes: usize, to: usize): void {
  const whole = count & ~(GROUP - 1);
  for (let i: usize = 0; i < whole; i += GROUP) {
    const at = from + 4 * i;
    const a = v128.load(at);
    const b = v128.load(at, 16);
    const c = v128.load(at, 32);
    const d = v128.load(at, 48);
    const out = to + i;
    const low = lowBytes(a, b);
    const nextLow = lowBytes(c, d);
    v128.store(out, firstHalves(low, nextLow));
    v128.store(out + count, secondHalves(low, nextLow));
    if (planes == 2) continue;
    const high = highBytes(a, b);
    const nextHigh = highBytes(c, d);
    v128.store(out + 2 * count, firstHalves(high, nextHigh));
    if (planes == 4) v128.store(out + 3 * count, secondHalves(high, nextHigh));
  }
  for (let i = whole; i < count; i++) {
    for (let p: usize = 0; p < planes; p++) {
      store<u8>(to + p * count + i, load<u8>(from + 4 * i + p));
    }
  }
}

/** Splits `count` integers of 16 bits into their low bytes and then their high ones. */
export function splitShorts(from: usize, count: usize, to: usize): void {
  const whole = count & ~(GROUP - 1);
  for (let i: usize = 0; i < whole; i += GROUP) {
    const a = v128.load(from + 2 * i);
    const b = v128.load(from + 2 * i, 16);
    const out = to + i;
    v128.store(
      out,
      v128.shuffle<i8>(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30),
    );
    v128.store(
      out + count,
      v128.shuffle<i8>(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31),
    );
  }
  for (let i = whole; i < count; i++) {
    store<u8>(to + i, load<u8>(from + 2 * i));
    store<u8>(to + count + i, load<u8>(from + 2 * i, 1));
  }
}
