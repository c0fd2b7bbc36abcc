/** How far stored targets lie from the teacher's own list: KL in nats, or the squared error. */
import { createPlaces } from './places.ts';
import type { DecodedTargets, Targets } from './targets.ts';

/** One position of the teacher: its first K entries in rank order and the mass outside them. */
export interface ExactPosition {
  readonly ids: Uint32Array;
  readonly logprobs: Float32Array;
  readonly tail: number;
}

export interface PositionDivergence {
  /** Cells: stored entries and the rest; what is not stored is merged into the rest. */
  readonly merged: number;
  /** Cells: all of the list and what lies outside; the stored rest is spread over the other ids. */
  readonly spread: number;
  /** Half of Σ |p − q| over the cells of `spread`. */
  readonly variation: number;
  /** The teacher's probability of the stored entries. */
  readonly mass: number;
}

/** What is stored is float32: a mass that it rounds to 0 counts as the least one that it holds. */
const massMin = 2 ** -149;

/**
 * Compares position t of stored targets with the teacher's list (scaled targets). `width` is V.
 * Finite, and large where the teacher gives mass to a cell that the stored rest leaves empty.
 */
export function divergence(
  exact: ExactPosition,
  stored: DecodedTargets,
  place: { position: number; width: number },
): PositionDivergence {
  const { probs, stands } = pairsOf(exact, stored, place.position);
  return compare({ ...exact, probs, stands }, stored, place);
}

/** The same of the list cut to its first K entries: of the others only the mass is wanted. */
export function cutDivergence(
  { ids, logprobs, tail }: ExactPosition,
  stored: DecodedTargets,
  { k, ...place }: { position: number; width: number; k: number },
): PositionDivergence {
  let outside = tail;
  for (let i = k; i < ids.length; i++) outside += Math.exp(logprobs[i]);
  const cut = { ids: ids.subarray(0, k), logprobs: logprobs.subarray(0, k), tail: outside };
  return divergence(cut, stored, place);
}

/** Of the list cut and of all of it: looked up once for both. */
export function cutAndWhole(
  exact: ExactPosition,
  stored: DecodedTargets,
  place: { position: number; width: number; k: number },
): { cut: PositionDivergence; whole: PositionDivergence } {
  const { ids, logprobs } = exact;
  const { probs, stands } = pairsOf(exact, stored, place.position);
  let { tail } = exact;
  for (let i = place.k; i < ids.length; i++) tail += probs[i];
  const shorter = { ids: ids.subarray(0, place.k), logprobs, tail };
  return {
    cut: compare({ ...shorter, probs, stands }, stored, place),
    whole: compare({ ...exact, probs, stands }, stored, place),
  };
}

/** Of each entry of a list its probability, and the one that stands for it, −1 where none does. */
interface Pairs {
  readonly probs: Float64Array;
  readonly stands: Float64Array;
}

/** Used again for every position: longer than its list. */
let pairs: Pairs = { probs: new Float64Array(0), stands: new Float64Array(0) };
const kept = createPlaces();

function pairsOf(exact: ExactPosition, stored: DecodedTargets, position: number): Pairs {
  const { ids, logprobs } = exact;
  if (ids.length > pairs.probs.length) {
    pairs = { probs: new Float64Array(ids.length), stands: new Float64Array(ids.length) };
  }
  const { probs, stands } = pairs;
  kept.set(stored.ids, stored.offsets[position], stored.offsets[position + 1]);
  for (let i = 0; i < ids.length; i++) {
    const at = kept.at(ids[i]);
    probs[i] = Math.exp(logprobs[i]);
    stands[i] = at < 0 ? -1 : stored.probs[at];
  }
  return pairs;
}

function compare(
  { ids, logprobs, tail, probs, stands }: ExactPosition & Pairs,
  stored: DecodedTargets,
  { position, width }: { position: number; width: number },
): PositionDivergence {
  const entries = stored.offsets[position + 1] - stored.offsets[position];
  const rest = stored.rest[position];
  const each = rest / Math.max(1, width - entries);
  const logEach = Math.log(Math.max(each, massMin));
  let merged = 0;
  let spread = 0;
  let apart = 0;
  let mass = 0;
  let outside = tail;
  for (let i = 0; i < ids.length; i++) {
    const p = probs[i];
    if (stands[i] < 0) {
      apart += Math.abs(p - each);
      outside += p;
      spread += p > 0 ? p * (logprobs[i] - logEach) : 0;
      continue;
    }
    apart += Math.abs(p - stands[i]);
    const own = term(p, logprobs[i], stands[i]);
    merged += own;
    spread += own;
    mass += p;
  }
  merged += term(outside, Math.log(outside), rest);
  const others = Math.max(1, width - ids.length);
  spread += term(tail, Math.log(tail), each * others);
  apart += Math.abs(tail - each * others);
  return { merged, spread, variation: apart / 2, mass };
}

/** Of each position that has entries: what is stored beside the exact list. `width` is V. */
export function divergences(
  { count, offsets, ids, logprobs, rest }: Targets,
  stored: DecodedTargets,
  width: number,
): PositionDivergence[] {
  const found: PositionDivergence[] = [];
  for (let t = 0; t < count; t++) {
    const [from, to] = [offsets[t], offsets[t + 1]];
    if (from === to) continue;
    const list = { ids: ids.subarray(from, to), logprobs: logprobs.subarray(from, to) };
    found.push(divergence({ ...list, tail: rest[t] }, stored, { position: t, width }));
  }
  return found;
}

function term(p: number, logp: number, q: number): number {
  return p > 0 ? p * (logp - Math.log(Math.max(q, massMin))) : 0;
}

export interface PositionError {
  /** Σ (weight − p)² over the label space, p taken as 0 where the list ends before it. */
  readonly error: number;
  /** Sum of the weights. */
  readonly mass: number;
}

/** Compares position t of unbiased targets with the teacher's list. */
export function squaredError(
  exact: ExactPosition,
  stored: DecodedTargets,
  position: number,
): PositionError {
  const [from, to] = [stored.offsets[position], stored.offsets[position + 1]];
  kept.set(stored.ids, from, to);
  let error = 0;
  let mass = 0;
  for (let i = from; i < to; i++) {
    const weight = stored.probs[i];
    error += weight * weight;
    mass += weight;
  }
  for (let i = 0; i < exact.ids.length; i++) {
    const p = Math.exp(exact.logprobs[i]);
    const at = kept.at(exact.ids[i]);
    error += p * (p - 2 * (at < 0 ? 0 : stored.probs[at]));
  }
  return { error, mass };
}
