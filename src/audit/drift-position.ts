/** How far two stored positions lie apart: at least, whatever the distributions of their rests. */
import type { TargetSet } from '../../schemas/manifest.ts';
import type { DecodedTargets } from '../distribution/targets.ts';
import { drawnWeight, massMin, restOf } from './known-part.ts';

export interface Stored {
  readonly targets: DecodedTargets;
  readonly set: TargetSet;
}

export interface Distance {
  /** KL(before ‖ after) and back, nats. */
  readonly kl: number;
  readonly klBack: number;
  /** Half of Σ |p − q|. */
  readonly variation: number;
  readonly sameTop: boolean;
}

interface KnownPart {
  readonly probs: Map<number, number>;
  readonly rest: number;
  /** The most probable id, the least of several; −1 where none is known. */
  readonly top: number;
}

/** Weights above τ may add up to more than 1, as they are rounded at random: they are scaled. */
function knownPart({ targets, set }: Stored, t: number): KnownPart {
  const { offsets, ids, probs } = targets;
  const drawn = drawnWeight(set);
  const known = new Map<number, number>();
  let mass = 0;
  let top = -1;
  let most = 0;
  for (let i = offsets[t]; i < offsets[t + 1]; i++) {
    const p = probs[i];
    if (p === drawn) continue;
    known.set(ids[i], p);
    mass += p;
    if (p > most || (p === most && ids[i] < top)) [most, top] = [p, ids[i]];
  }
  const rest = restOf(targets, t, mass);
  const scale = mass + rest;
  if (scale !== 1) for (const [id, p] of known) known.set(id, p / scale);
  return { probs: known, rest: rest / scale, top };
}

/**
 * Cells: each entry of both, and everything else as one. Entries that only one of them has may hold
 * as much as the other's rest at most, which tells apart distributions without a common entry.
 */
export function comparePositions(before: Stored, after: Stored, t: number): Distance {
  const [a, b] = [knownPart(before, t), knownPart(after, t)];
  let kl = 0;
  let klBack = 0;
  let apart = 0;
  let [onlyA, onlyB] = [0, 0];
  let common = 0;
  for (const [id, p] of a.probs) {
    const q = b.probs.get(id);
    if (q === undefined) {
      onlyA += p;
      continue;
    }
    common += q;
    kl += term(p, q);
    klBack += term(q, p);
    apart += Math.abs(p - q);
  }
  for (const q of b.probs.values()) onlyB += q;
  onlyB = Math.max(0, onlyB - common);
  const cells = { onlyA, restA: a.rest, onlyB, restB: b.rest };
  return {
    kl: kl + outer(cells),
    klBack: klBack + outer({ onlyA: onlyB, restA: b.rest, onlyB: onlyA, restB: a.rest }),
    variation: (apart + outerVariation(cells)) / 2,
    sameTop: a.top === b.top,
  };
}

const term = (p: number, q: number) => (p > 0 ? p * Math.log(p / Math.max(q, massMin)) : 0);

interface Cells {
  /** Mass of entries that only one of them has, and what its entries leave. */
  readonly onlyA: number;
  readonly restA: number;
  readonly onlyB: number;
  readonly restB: number;
}

/** The least that the cells outside the common entries add to KL(a ‖ b). */
function outer({ onlyA, restA, onlyB, restB }: Cells): number {
  const fits = onlyA * onlyB <= restA * restB;
  return fits ? term(onlyA + restA, onlyB + restB) : term(onlyA, restB) + term(restA, onlyB);
}

function outerVariation({ onlyA, restA, onlyB, restB }: Cells): number {
  return onlyA > restB && onlyB > restA
    ? onlyA - restB + (onlyB - restA)
    : Math.abs(onlyA + restA - onlyB - restB);
}
