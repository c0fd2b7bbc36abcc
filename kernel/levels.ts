/**
 * Levels of log-probs, as src/encode/levels.ts has them: estimated four at a time, and looked up
 * where an estimate is too near a boundary. Functions are those of JavaScript's own Math, which the
 * host lends: no others give the same bits.
 */
import { INDEPENDENT, SCALED, UNBIASED } from './kinds.ts';
import { anyBits, present, sumOfLanes } from './lanes.ts';
import { LOG2E, powers } from './powers.ts';

// @ts-ignore: decorator
@external('env', 'exp')
declare function exp(x: f64): f64;
// @ts-ignore: decorator
@external('env', 'expm1')
declare function expm1(x: f64): f64;
// @ts-ignore: decorator
@external('env', 'log')
declare function log(x: f64): f64;

const LEVELS_MAX: i32 = 65_535;
const REST_SCALE: f64 = 2048;
/** The float32 below log ½. */
const LOG_HALF: f32 = -0.6931471824645996;
/** 2^23 */
const MAGIC: f32 = 8388608;
/**
 * 2^-17: of what is estimated, twice what it may be wrong by. Of all float32 from −24.5 to −2^-25
 * `powers`, with its constants as they are, is wrong by less than 2^-18.1.
 */
const ERROR: f32 = 0.00000762939453125;

/** Of the sample at hand: its kind, step, log τ, and the greatest level of a probability. */
let kind: u32 = 0;
let step: f64 = 0;
let atTau: f32 = 0;
let scoreMax: i32 = 0;
/** The lowest float32 of each level. */
let lowest: usize = 0;

export function prepareLevels(
  newKind: u32,
  newStep: f64,
  logTau: f32,
  newScoreMax: i32,
  thresholds: usize,
): void {
  kind = newKind;
  step = newStep;
  atTau = logTau;
  scoreMax = newScoreMax;
  lowest = thresholds;
}

/** Where a level would be, of an entry that is left out. */
export const LEFT_OUT: i32 = -1;
/** Set in an estimate that does not tell the level. */
const UNSURE: i32 = 1 << 30;

/** Of the last position: entries that are left out, all bits of the others' levels, the rest. */
export let dropped: usize = 0;
export let levelBits: i32 = 0;
export let rest: u32 = 0;

/** As JavaScript rounds: halves up. */
// @ts-ignore: decorator
@inline
function rounded(x: f64): f64 {
  const up = Math.ceil(x);
  return up - 0.5 > x ? up - 1 : up;
}

/** round(√p / step) */
function exactly(logprob: f64): f64 {
  return rounded(exp(logprob / 2) / step);
}

/** What `level` estimates. */
function lookUp(logprob: f32, level: i32): i32 {
  if (kind == UNBIASED && logprob == atTau) return 0;
  if (kind == INDEPENDENT && logprob > LOG_HALF) {
    return LEVELS_MAX - <i32>min<f64>(scoreMax, exactly(log(-expm1(min<f32>(0, logprob)))));
  }
  if (logprob > 0) level = <i32>min<f64>(LEVELS_MAX, exactly(logprob));
  else if (logprob <= 0) {
    // the estimate is cut there: a search from it up would be long
    if (kind == INDEPENDENT && logprob >= load<f32>(lowest + 4 * <usize>scoreMax)) return scoreMax;
    while (logprob < load<f32>(lowest + 4 * <usize>level)) level--;
    while (logprob >= load<f32>(lowest + 4 * <usize>level, 4)) level++;
  } else level = 0; // of NaN
  if (kind == UNBIASED) return max(1, level);
  level = min(level, kind == INDEPENDENT ? scoreMax : LEVELS_MAX);
  return level == 0 ? LEFT_OUT : level;
}

/** Replaces what is unsure among the levels from `found` on; returns all bits of levels. */
function lookUpUnsure(logprobs: usize, count: usize, found: usize): i32 {
  let bits = 0;
  dropped = 0;
  for (let at: usize = 0; at < 4 * count; at += 4) {
    let level = load<i32>(found + at);
    if (level >= UNSURE) {
      level = lookUp(load<f32>(logprobs + at), level & ~UNSURE);
      store<i32>(found + at, level);
    }
    if (level == LEFT_OUT) dropped++;
    else bits |= level;
  }
  return bits;
}

/** `mass` and the probabilities of the entries that are left out, one after the other. */
function withDropped(mass: f64, logprobs: usize, count: usize, found: usize): f64 {
  for (let i: usize = 0; i < count; i += 4) {
    const isOut = v128.and(v128.load(found + 4 * i), present(count - i));
    for (let lanes = i32x4.bitmask(isOut); lanes != 0; lanes &= lanes - 1) {
      mass += exp(load<f32>(logprobs + 4 * (i + <usize>ctz(lanes))));
    }
  }
  return mass;
}

/** The stored rest mass, never 0: it stands beside entries. */
function restOf(mass: f64): u32 {
  const rest = rounded(-log(mass) * REST_SCALE);
  return rest == rest ? <u32>min<f64>(LEVELS_MAX, max<f64>(1, rest)) : 0;
}

/** Four levels, or UNSURE with what is near them. `own` is constant: each kind has its own loop. */
// @ts-ignore: decorator
@inline
function estimate(own: u32, logprob: v128, perLevel: v128): v128 {
  const root = powers(logprob, f32x4.splat(0), f32x4.splat(LOG2E / 2));
  const found = f32x4.mul(root, perLevel);
  // its last bits are then the nearest integer
  const shifted = f32x4.add(found, f32x4.splat(MAGIC));
  const distance = f32x4.abs(f32x4.sub(found, f32x4.sub(shifted, f32x4.splat(MAGIC))));
  const distanceMax = f32x4.sub(f32x4.splat(0.5), f32x4.mul(found, f32x4.splat(ERROR)));
  const isUsual = f32x4.le(logprob, f32x4.splat(own == INDEPENDENT ? LOG_HALF : 0));
  const isSure = v128.and(f32x4.lt(distance, distanceMax), isUsual);
  let level = v128.and(shifted, i32x4.splat(0x3fffff));
  if (own == INDEPENDENT) level = i32x4.min_s(level, i32x4.splat(scoreMax));
  if (own == UNBIASED) {
    level = i32x4.max_s(level, i32x4.splat(1));
    level = v128.andnot(level, f32x4.eq(logprob, f32x4.splat(atTau)));
  }
  return v128.or(level, v128.andnot(i32x4.splat(UNSURE), isSure));
}

/** Writes estimates of a position; returns all bits of them. */
// @ts-ignore: decorator
@inline
function estimateAll(own: u32, logprobs: usize, count: usize, to: usize): i32 {
  const zero = i32x4.splat(0);
  const perLevel = f32x4.splat(<f32>(1 / step));
  let bits = zero;
  let out = zero;
  let i: usize = 0;
  for (; i + 4 <= count; i += 4) {
    const level = estimate(own, v128.load(logprobs + 4 * i), perLevel);
    const isOut = own == UNBIASED ? zero : i32x4.eq(level, zero);
    bits = v128.or(bits, level);
    out = i32x4.sub(out, isOut);
    v128.store(to + 4 * i, v128.or(level, isOut));
  }
  if (i < count) {
    const isPresent = present(count - i);
    const level = v128.and(estimate(own, v128.load(logprobs + 4 * i), perLevel), isPresent);
    const isOut = own == UNBIASED ? zero : v128.and(i32x4.eq(level, zero), isPresent);
    bits = v128.or(bits, level);
    out = i32x4.sub(out, isOut);
    v128.store(to + 4 * i, v128.or(level, v128.or(isOut, v128.not(isPresent))));
  }
  dropped = sumOfLanes(out);
  return anyBits(bits);
}

/**
 * Writes the level of each log-prob of a position, int32, four at a time: LEFT_OUT follows the
 * last. Entries at level 0 are left out, but for unbiased targets; `mass` is the rest without them.
 */
export function levelsOf(logprobs: usize, count: usize, mass: f64, to: usize): void {
  if (kind == SCALED) levelBits = estimateAll(SCALED, logprobs, count, to);
  else if (kind == UNBIASED) levelBits = estimateAll(UNBIASED, logprobs, count, to);
  else levelBits = estimateAll(INDEPENDENT, logprobs, count, to);
  if (levelBits >= UNSURE) levelBits = lookUpUnsure(logprobs, count, to);
  if (kind != SCALED) return;
  if (dropped > 0) mass = withDropped(mass, logprobs, count, to);
  rest = dropped < count ? restOf(mass) : 0;
}
