/** How far stored targets lie from the teacher's own list: KL in nats, or the squared error. */
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
  { position, width }: { position: number; width: number },
): PositionDivergence {
  const from = stored.offsets[position];
  const to = stored.offsets[position + 1];
  const kept = new Map<number, number>();
  for (let i = from; i < to; i++) kept.set(stored.ids[i], stored.probs[i]);
  const rest = stored.rest[position];
  const each = rest / Math.max(1, width - (to - from));
  let merged = 0;
  let spread = 0;
  let apart = 0;
  let mass = 0;
  let outside = exact.tail;
  for (let i = 0; i < exact.ids.length; i++) {
    const logp = exact.logprobs[i];
    const p = Math.exp(logp);
    const stands = kept.get(exact.ids[i]);
    apart += Math.abs(p - (stands ?? each));
    if (stands === undefined) {
      outside += p;
      spread += term(p, logp, each);
      continue;
    }
    const own = term(p, logp, stands);
    merged += own;
    spread += own;
    mass += p;
  }
  merged += term(outside, Math.log(outside), rest);
  const others = Math.max(1, width - exact.ids.length);
  spread += term(exact.tail, Math.log(exact.tail), each * others);
  apart += Math.abs(exact.tail - each * others);
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
  const weights = new Map<number, number>();
  let error = 0;
  let mass = 0;
  for (let i = stored.offsets[position]; i < stored.offsets[position + 1]; i++) {
    const weight = stored.probs[i];
    weights.set(stored.ids[i], weight);
    error += weight * weight;
    mass += weight;
  }
  for (let i = 0; i < exact.ids.length; i++) {
    const p = Math.exp(exact.logprobs[i]);
    error += p * (p - 2 * (weights.get(exact.ids[i]) ?? 0));
  }
  return { error, mass };
}
