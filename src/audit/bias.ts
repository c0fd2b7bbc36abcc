/**
 * Whether draws were honest: what an unbiased set weighs more or less than the teacher gave, in
 * bands of probability, against the error that honest draws have. Below τ an entry is drawn with
 * probability p/τ (variance p(τ − p)); above, p is rounded at random to one of two levels. Draws of
 * one row exclude each other a little, so that honest z-scores are at most of unit variance.
 */
import type { AuditFidelity } from '../../schemas/audit.ts';
import type { TargetSet } from '../../schemas/manifest.ts';
import type { ExactPosition } from '../distribution/divergence.ts';
import { rounded } from '../distribution/rounded.ts';
import type { DecodedTargets } from '../distribution/targets.ts';
import { stepOf } from './known-part.ts';

/** Lower edges of the bands, in τ; the first band is what lies beyond the list. */
const edgesInTau = [0, 0.01, 0.1, 0.5, 1, 2, 5, 20] as const;
/** What float32 log-probs and their exponentials are off by: of any p, in the same direction. */
const relativeError = 1e-5;

/** Sums over the entries of a band; plain data. */
export interface Band {
  entries: number;
  /** Σ (weight − p), its variance, and Σ p. */
  error: number;
  variance: number;
  mass: number;
  /** Σ (weight − p)² − variance, and the variance of that. */
  excess: number;
  excessVariance: number;
  /** Σ p². */
  squares: number;
}

const newBand = (): Band => ({
  entries: 0,
  error: 0,
  variance: 0,
  mass: 0,
  excess: 0,
  excessVariance: 0,
  squares: 0,
});

export const newBands = (): Band[] => Array.from({ length: edgesInTau.length + 1 }, newBand);

export function mergeBands(a: readonly Band[], b: readonly Band[]): Band[] {
  return a.map((band, i) => {
    const sum = newBand();
    for (const key of Object.keys(sum) as (keyof Band)[]) sum[key] = band[key] + b[i][key];
    return sum;
  });
}

const tauOf = ({ sparsifier }: TargetSet) => Math.fround(sparsifier.parameters.tau);

/** Adds a reference position and what is stored of it. */
export function addBias(
  bands: Band[],
  exact: ExactPosition,
  { stored, position, set }: { stored: DecodedTargets; position: number; set: TargetSet },
): void {
  const tau = tauOf(set);
  const step = stepOf(set);
  const weights = new Map<number, number>();
  let beyond = 0;
  for (let i = stored.offsets[position]; i < stored.offsets[position + 1]; i++) {
    weights.set(stored.ids[i], stored.probs[i]);
    beyond += stored.probs[i];
  }
  for (let i = 0; i < exact.ids.length; i++) {
    const p = Math.exp(exact.logprobs[i]);
    const weight = weights.get(exact.ids[i]) ?? 0;
    beyond -= weight;
    let at = edgesInTau.length - 1;
    while (p < edgesInTau[at] * tau) at--;
    addEntry(bands[at + 1], { p, weight, ...pairOf(p, tau, step) });
  }
  const band = bands[0];
  band.entries++;
  band.error += beyond - exact.tail;
  band.variance += tau * exact.tail; // Σ p(τ − p) at most
  band.mass += exact.tail;
}

/** The two weights that an honest draw gives an entry. */
function pairOf(p: number, tau: number, step: number): { low: number; high: number } {
  if (p < tau) return { low: 0, high: tau };
  if (step === 0) return { low: p, high: p };
  const below = Math.floor(Math.sqrt(p) / step);
  return { low: (below * step) ** 2, high: ((below + 1) * step) ** 2 };
}

function addEntry(
  band: Band,
  { p, weight, low, high }: { p: number; weight: number; low: number; high: number },
): void {
  const width = high - low;
  const up = width === 0 ? 0 : Math.min(1, Math.max(0, (p - low) / width));
  const variance = width ** 2 * up * (1 - up);
  band.entries++;
  band.error += weight - p;
  band.variance += variance;
  band.mass += p;
  band.excess += (weight - p) ** 2 - variance;
  band.excessVariance += width ** 2 * variance * (1 - 2 * up) ** 2;
  band.squares += p * p;
}

/** The report's rows: bands with entries. */
export function biasOf(bands: readonly Band[], set: TargetSet): NonNullable<AuditFidelity['bias']> {
  const tau = tauOf(set);
  const edges = [...edgesInTau.map((edge) => Math.min(1, edge * tau)), 1];
  const rows = bands.map((band, i) => {
    const noise = Math.sqrt(band.variance + (relativeError * band.mass) ** 2);
    const spread = Math.sqrt(band.excessVariance) + relativeError ** 2 * band.squares;
    return {
      p_min: i === 0 ? 0 : rounded(edges[i - 1]),
      p_max: i === 0 ? 0 : rounded(edges[i]),
      entries: band.entries,
      error: rounded(band.error),
      z: rounded(band.error / (noise || 1)),
      z_spread: rounded(band.excess / (spread || 1)),
    };
  });
  return rows.filter(({ entries }) => entries > 0);
}
