/**
 * The steps that a kernel takes over one row of logits. Two implementations, equal bit for bit: the
 * TypeScript reference and the compiled one. Arithmetic that must agree is fixed here.
 */
import type { FloatType } from '../distribution/rows.ts';

export interface EngineOptions {
  readonly width: number;
  readonly type: FloatType;
  /** Most entries that `select` is asked for. */
  readonly k: number;
}

/**
 * Two exponentials of x − shift, by a polynomial on the fraction of t = (x − shift) · log2 e:
 *
 * - narrow, in float32, for the many values below the threshold: t = max(t, −127), n =
 *   round-half-even(t), relative error below 2.7e-6 + 6e-8·|t|, 4e-8 on average; 0 at n = −127;
 * - wide, in float64, for the few that reach it: relative error below 5e-11; 0 below 2^−1022.
 *
 * Sums of narrow ones run over blocks of 512 values: 16 float32 lanes (lane = index mod 16) are
 * added up as h[j] = (a[j] + a[4+j]) + (a[8+j] + a[12+j]) in float32, then (h[0] + h[1]) +
 * (h[2] + h[3]) in float64; the blocks in order, in float64. Wide ones are added id ascending.
 */
export interface Engine {
  readonly name: 'wasm' | 'typescript';
  /** Entries of the last `select`, value descending, id ascending on ties. */
  readonly ids: Uint32Array;
  /** Their values − shift − `logTotal`, after `normalise`. */
  readonly logprobs: Float64Array;
  /** Ids of the last `draw`, in no order that matters. */
  readonly drawn: Uint32Array;
  /** Largest value that reached the threshold of the last pass; −inf where none did. */
  readonly top: number;
  /** Σ of the narrow values below the threshold; NaN where the row holds NaN. */
  readonly below: number;
  /** Σ of the wide values selected, and of those that reached the threshold but were not. */
  readonly inside: number;
  readonly outside: number;
  /** Where a producer may write a row itself; `load(row, 0)` then copies nothing. */
  readonly row: Float32Array | Uint16Array;
  /** Takes in `width` values from index `start` on. */
  load(values: Float32Array | Uint16Array, start: number): void;
  /** Value of an id. */
  readonly value: (id: number) => number;
  /** Samples every stride-th value; returns the largest, NaN where one of them is. */
  sample(): number;
  /** The rank-th largest of the sampled values, from 1. */
  nth(rank: number): number;
  /**
   * Collects the values ≥ threshold (never −inf) and sums the others; returns how many. The
   * threshold is a value of the row's type, or −inf.
   */
  pass(threshold: number, shift: number): number;
  /** Ranks what the last pass collected; returns the number kept, at most k. */
  select(k: number): number;
  /** Gives what was selected its log-probs, `logTotal` being the log of all sums. */
  normalise(logTotal: number): void;
  /** Σ 2^((x − shift) · factor) over the whole row, narrow; shift is the row's maximum. */
  scaledSum(shift: number, factor: number): number;
  /**
   * Systematic sampling of everything but the first `head` entries selected: with cumulative sums
   * over what was collected (id ascending) and then over the blocks, takes the entry at which
   * (start + j) · unit is passed, j = 0, 1, …; each entry is taken with probability its
   * exponential / unit.
   * Returns how many were drawn, at most k + 2.
   */
  draw(head: number, unit: number, start: number): number;
}

/** Minimax coefficients of 2^g on |g| ≤ 0.5, as float32. */
export const narrow = [
  0.9999992847442627, 0.6931217908859253, 0.240247443318367, 0.05591786280274391,
  0.009570102207362652,
] as const;
/** The same for float64. */
export const wide = [
  0.9999999999616818, 0.6931471807284486, 0.24022651198159115, 0.055504103534414345,
  0.009618027253445863, 0.0013333922568902117, 0.00015469291214904082, 1.52019203451648e-5,
] as const;
/** Adding it to t rounds to a whole number n, whose last bits are then n + 127. */
export const magic = 12_583_039;
export const exponentMin = -127;
export const wideExponentMin = -1022;
export const blockLength = 512;
export const laneCount = 16;
export const log2e = Math.fround(Math.LOG2E);

/** Values sampled for the threshold: 1,024, fewer where ranking them would outweigh the row. */
const sampleMax = 1024;
const strideMin = 32;

export const strideOf = (width: number) => Math.max(strideMin, Math.floor(width / sampleMax));
