/** Vectors: where they may lie, which of their lanes count, what all lanes say together. */

/** The next place of a vector. */
// @ts-ignore: decorator
@inline
export function align(bytes: usize): usize {
  return (bytes + 15) & ~(<usize>15);
}

/** The lanes of a group of which `left` entries are left. */
// @ts-ignore: decorator
@inline
export function present(left: usize): v128 {
  return i32x4.gt_s(i32x4.splat(<i32>left), i32x4(0, 1, 2, 3));
}

// @ts-ignore: decorator
@inline
export function anyBits(x: v128): i32 {
  const two = v128.or(x, v128.shuffle<i32>(x, x, 2, 3, 2, 3));
  return i32x4.extract_lane(two, 0) | i32x4.extract_lane(two, 1);
}

// @ts-ignore: decorator
@inline
export function sumOfLanes(x: v128): i32 {
  const two = i32x4.add(x, v128.shuffle<i32>(x, x, 2, 3, 2, 3));
  return i32x4.extract_lane(two, 0) + i32x4.extract_lane(two, 1);
}

// @ts-ignore: decorator
@inline
export function firstHalves(a: v128, b: v128): v128 {
  return v128.shuffle<i64>(a, b, 0, 2);
}

// @ts-ignore: decorator
@inline
export function secondHalves(a: v128, b: v128): v128 {
  return v128.shuffle<i64>(a, b, 1, 3);
}
