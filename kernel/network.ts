/**
 * Sorts 32-bit keys by comparisons that do not depend on them: networks of vectors, 32 keys in
 * registers, and merges of what is sorted. Up to 512 keys that is faster than by their digits.
 */
import { firstHalves, secondHalves } from './lanes.ts';

/** Bytes of what is sorted in registers: eight vectors. */
export const LEAF: usize = 128;

// @ts-ignore: decorator
@inline
function least(a: v128, b: v128): v128 {
  return i32x4.min_u(a, b);
}

// @ts-ignore: decorator
@inline
function most(a: v128, b: v128): v128 {
  return i32x4.max_u(a, b);
}

// @ts-ignore: decorator
@inline
function reversed(x: v128): v128 {
  return v128.shuffle<i32>(x, x, 3, 2, 1, 0);
}

/** Sorts two bitonic vectors, each for itself. */
// @ts-ignore: decorator
@inline
function finish(x: v128, y: v128, to: usize): void {
  let low = v128.shuffle<i64>(x, y, 0, 2);
  let high = v128.shuffle<i64>(x, y, 1, 3);
  const a = least(low, high);
  const b = most(low, high);
  low = v128.shuffle<i32>(a, b, 0, 4, 2, 6);
  high = v128.shuffle<i32>(a, b, 1, 5, 3, 7);
  const c = least(low, high);
  const d = most(low, high);
  v128.store(to, v128.shuffle<i32>(c, d, 0, 4, 1, 5));
  v128.store(to, v128.shuffle<i32>(c, d, 2, 6, 3, 7), 16);
}

/** Sorts four vectors that are bitonic together. */
// @ts-ignore: decorator
@inline
function finishFour(a: v128, b: v128, c: v128, d: v128, to: usize): void {
  const e = least(a, c);
  const f = least(b, d);
  const g = most(a, c);
  const h = most(b, d);
  finish(least(e, f), most(e, f), to);
  finish(least(g, h), most(g, h), to + 32);
}

/** Merges two sorted pairs of vectors. */
// @ts-ignore: decorator
@inline
function mergePairs(a: v128, b: v128, c: v128, d: v128, to: usize): void {
  finishFour(a, b, reversed(d), reversed(c), to);
}

// @ts-ignore: decorator
@inline
function lowLanes(x: v128, y: v128): v128 {
  return v128.shuffle<i32>(x, y, 0, 4, 1, 5);
}

// @ts-ignore: decorator
@inline
function highLanes(x: v128, y: v128): v128 {
  return v128.shuffle<i32>(x, y, 2, 6, 3, 7);
}

/** Sorts 32 keys: the four columns of eight vectors at once, then merges them. */
function sortLeaf(at: usize): void {
  let a = v128.load(at), b = v128.load(at, 16), c = v128.load(at, 32), d = v128.load(at, 48);
  let e = v128.load(at, 64), f = v128.load(at, 80), g = v128.load(at, 96), h = v128.load(at, 112);
  let x: v128;
  // 19 comparisons in 6 steps, the fewest there are
  x = least(a, c); c = most(a, c); a = x;
  x = least(b, d); d = most(b, d); b = x;
  x = least(e, g); g = most(e, g); e = x;
  x = least(f, h); h = most(f, h); f = x;

  x = least(a, e); e = most(a, e); a = x;
  x = least(b, f); f = most(b, f); b = x;
  x = least(c, g); g = most(c, g); c = x;
  x = least(d, h); h = most(d, h); d = x;

  x = least(a, b); b = most(a, b); a = x;
  x = least(c, d); d = most(c, d); c = x;
  x = least(e, f); f = most(e, f); e = x;
  x = least(g, h); h = most(g, h); g = x;

  x = least(c, e); e = most(c, e); c = x;
  x = least(d, f); f = most(d, f); d = x;

  x = least(b, e); e = most(b, e); b = x;
  x = least(d, g); g = most(d, g); d = x;

  x = least(b, c); c = most(b, c); b = x;
  x = least(d, e); e = most(d, e); d = x;
  x = least(f, g); g = most(f, g); f = x;
  const p = lowLanes(a, b), q = lowLanes(c, d), r = lowLanes(e, f), s = lowLanes(g, h);
  mergePairs(firstHalves(p, q), firstHalves(r, s), secondHalves(p, q), secondHalves(r, s), at);
  const t = highLanes(a, b), u = highLanes(c, d), v = highLanes(e, f), w = highLanes(g, h);
  mergePairs(firstHalves(t, u), firstHalves(v, w), secondHalves(t, u), secondHalves(v, w), at + 64);
  cross(at, 64);
  finishHalf(at);
  finishHalf(at + 64);
}

/** Sorts 16 keys that are bitonic together. */
function finishHalf(at: usize): void {
  finishFour(v128.load(at), v128.load(at, 16), v128.load(at, 32), v128.load(at, 48), at);
}

/** Sorts 32 keys that are bitonic together. */
function finishLeaf(at: usize): void {
  const a = v128.load(at), b = v128.load(at, 16), c = v128.load(at, 32), d = v128.load(at, 48);
  const e = v128.load(at, 64), f = v128.load(at, 80), g = v128.load(at, 96), h = v128.load(at, 112);
  finishFour(least(a, e), least(b, f), least(c, g), least(d, h), at);
  finishFour(most(a, e), most(b, f), most(c, g), most(d, h), at + 64);
}

/** Of two sorted parts of `bytes` each, leaves all lesser keys in the first; both are bitonic. */
function cross(at: usize, bytes: usize): void {
  for (let low = at, high = at + 2 * bytes - 16; low < high; low += 16, high -= 16) {
    const a = v128.load(low);
    const b = reversed(v128.load(high));
    v128.store(low, least(a, b));
    v128.store(high, reversed(most(a, b)));
  }
}

/** Of the two halves of a bitonic part, leaves all lesser keys in the first. */
function halve(at: usize, bytes: usize): void {
  for (let low = at; low < at + bytes; low += 16) {
    const a = v128.load(low);
    const b = v128.load(low + bytes);
    v128.store(low, least(a, b));
    v128.store(low + bytes, most(a, b));
  }
}

/** Sorts the keys of `bytes`, LEAF times a power of two, where they lie. */
export function sortKeys(at: usize, bytes: usize): void {
  const end = at + bytes;
  for (let leaf = at; leaf < end; leaf += LEAF) sortLeaf(leaf);
  for (let sorted = LEAF; sorted < bytes; sorted <<= 1) {
    for (let part = at; part < end; part += 2 * sorted) cross(part, sorted);
    for (let half = sorted >> 1; half >= LEAF; half >>= 1) {
      for (let part = at; part < end; part += 2 * half) halve(part, half);
    }
    for (let leaf = at; leaf < end; leaf += LEAF) finishLeaf(leaf);
  }
}
