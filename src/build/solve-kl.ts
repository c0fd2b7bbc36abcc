/** Solves the step on √p for a KL budget, on the first targets of the source. */
import type { Source } from '../capture/source.ts';
import { divergences } from '../distribution/divergence.ts';
import type { Targets } from '../distribution/targets.ts';
import { dequantise, quantise } from '../encode/levels.ts';
import { LogitcaskError } from '../errors.ts';
import type { Sparsifier } from '../sparsify/sparsifier.ts';
import { firstTargets } from './first-targets.ts';

/** Steps within which a budget is solved for: those that a configuration may name. */
export const stepRange = { low: 2e-5, high: 0.5 } as const;
const positionsMax = 2048;
const bisections = 24;

/** Mean KL of targets at a step: cells are the kept entries and the rest (merged). */
function meanDivergence(targets: readonly Targets[], step: number, width: number): number {
  const grid = { step, tau: 0 };
  const found = targets.flatMap((part) =>
    divergences(part, dequantise(quantise(part, grid), grid), width),
  );
  return found.reduce((sum, { merged }) => sum + merged, 0) / Math.max(1, found.length);
}

/** The largest step (to 1e-7) whose mean KL on the sample stays within `klMax` nats. */
export async function solveStep(
  source: Source,
  { sparsifier, klMax }: { sparsifier: Sparsifier; klMax: number },
): Promise<number> {
  const targets: Targets[] = [];
  for await (const first of firstTargets(source, { sparsifiers: [sparsifier], positionsMax })) {
    targets.push(first.targets[0]);
  }
  const width = source.identity.vocabulary;
  let { low, high }: { low: number; high: number } = stepRange;
  if (meanDivergence(targets, low, width) > klMax) {
    throw new LogitcaskError('config-invalid', 'encode: no step reaches `max_kl`; use codec raw', {
      expected: `at least ${meanDivergence(targets, low, width)}`,
      got: klMax,
    });
  }
  for (let i = 0; i < bisections; i++) {
    const middle = Math.sqrt(low * high);
    if (meanDivergence(targets, middle, width) <= klMax) low = middle;
    else high = middle;
  }
  return Math.floor(low * 1e7) / 1e7;
}
