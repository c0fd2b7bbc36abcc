/**
 * What a stored position says for sure: the probabilities of some entries, and the mass of all
 * other ids. All entries of scaled targets are such; of unbiased ones those above τ, since an entry
 * at τ only says that this id was drawn.
 */
import type { TargetSet } from '../../schemas/manifest.ts';
import type { DecodedTargets } from '../distribution/targets.ts';

/** Rounding at random may take the entries above τ over 1: this much is left at least. */
const restMin = 2 ** -20;
/** The least mass that float32 holds: a stored rest of 0 counts as it where a log is taken. */
export const massMin = 2 ** -149;

/** The weight of what was drawn; NaN for scaled targets, so that no weight equals it. */
export function drawnWeight({ kind, sparsifier, codec }: TargetSet): number {
  const tau = Math.fround(sparsifier.parameters.tau);
  if (kind === 'scaled') return Number.NaN;
  // raw stores its log
  return codec.name === 'raw' ? Math.fround(Math.exp(Math.fround(Math.log(tau)))) : tau;
}

/** Step of the levels on √p, float32; 0 where probabilities are stored as they are. */
export function stepOf({ codec }: TargetSet): number {
  const { step } = codec.parameters;
  return typeof step === 'number' ? Math.fround(step) : 0;
}

/** Mass of the ids that are not known: of unbiased targets, what those known leave of 1. */
export function restOf(targets: DecodedTargets, t: number, known: number): number {
  return targets.kind === 'scaled' ? targets.rest[t] : Math.max(restMin, 1 - known);
}
