/**
 * Levels on √p: a uniform step there spends the KL budget equally over the entries
 * (KL ≈ n·step²/6), where a step on log p would waste bits on entries that hardly matter.
 */
import type { DecodedTargets, TargetKind, Targets } from '../distribution/targets.ts';

/** Entries of n positions as the integers that are stored; ids ascend within a position. */
export interface Levels {
  readonly kind: TargetKind;
  /** Length n. */
  readonly counts: Uint32Array;
  readonly ids: Uint32Array;
  readonly levels: Uint16Array;
  /** −ln(rest mass)·2048, length n; empty for unbiased targets. */
  readonly rest: Uint16Array;
}

export const steps = { fine: 0.003, standard: 0.0095 } as const;

const restScale = 2048;

/** Rest mass of each stored value: float32 of a float64 exponential. */
export const restMass: Float32Array = Float32Array.from({ length: 65_536 }, (_, i) =>
  Math.exp(-i / restScale),
);

export function quantiseRest(mass: number): number {
  return Math.min(65_535, Math.max(0, Math.round(-Math.log(mass) * restScale)));
}

/** What levels stand for: the step on √p and, for unbiased targets, τ; both float32 values. */
export interface Grid {
  readonly step: number;
  /** The weight of level 0; 0 for scaled targets. */
  readonly tau: number;
}

/**
 * Scaled targets: level = round(√p / step); entries at level 0 join the rest. Unbiased targets: an
 * entry of weight τ has level 0, every other √w / step, on which its sparsifier has put it.
 */
export function quantise(targets: Targets, { step, tau }: Grid): Levels {
  const { kind, count, offsets, ids, logprobs } = targets;
  const scaled = kind === 'scaled';
  const atTau = Math.fround(Math.log(tau));
  const counts = new Uint32Array(count);
  const rest = new Uint16Array(scaled ? count : 0);
  // id and level in one float64 (48 bits): the native numeric sort then orders both at once
  const keys = new Float64Array(ids.length);
  let at = 0;
  for (let t = 0; t < count; t++) {
    const start = at;
    let mass = targets.rest[t];
    for (let i = offsets[t]; i < offsets[t + 1]; i++) {
      const level = Math.round(Math.exp(logprobs[i] / 2) / step);
      if (!scaled) keys[at++] = ids[i] * 65_536 + (logprobs[i] === atTau ? 0 : Math.max(1, level));
      else if (level === 0) mass += Math.exp(logprobs[i]);
      else keys[at++] = ids[i] * 65_536 + level;
    }
    keys.subarray(start, at).sort();
    counts[t] = at - start;
    // never 0 beside entries: a rest of 1 would make them 0, and the divergence infinite
    if (scaled) rest[t] = at === start ? 0 : Math.max(1, quantiseRest(mass));
  }
  const out = { ids: new Uint32Array(at), levels: new Uint16Array(at) };
  for (let i = 0; i < at; i++) {
    out.ids[i] = keys[i] / 65_536;
    out.levels[i] = keys[i] % 65_536;
  }
  return { kind, counts, rest, ...out };
}

/**
 * The probabilities that stored integers stand for: float64 in the documented order, one rounding.
 */
export function dequantise(
  { kind, counts, ids, levels, rest }: Levels,
  { step, tau }: Grid,
): DecodedTargets {
  const count = counts.length;
  const offsets = new Uint32Array(count + 1);
  const probs = new Float32Array(ids.length);
  const masses = new Float32Array(kind === 'scaled' ? count : 0);
  let at = 0;
  for (let t = 0; t < count; t++) {
    const end = at + counts[t];
    offsets[t + 1] = end;
    if (kind === 'unbiased') {
      for (; at < end; at++) {
        const root = levels[at] * step;
        probs[at] = levels[at] === 0 ? tau : root * root;
      }
      continue;
    }
    masses[t] = counts[t] === 0 ? 1 : restMass[rest[t]];
    let sum = 0;
    for (let i = at; i < end; i++) sum += levels[i] * levels[i];
    const kept = 1 - masses[t];
    for (; at < end; at++) probs[at] = (levels[at] * levels[at] * kept) / sum;
  }
  return { kind, count, offsets, ids, probs, rest: masses };
}
