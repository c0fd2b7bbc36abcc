/** Solves the step on √p for a KL budget, on the first targets of the source. */
import { chunkLabels, type Source } from '../capture/source.ts';
import { divergence } from '../distribution/divergence.ts';
import type { Targets } from '../distribution/targets.ts';
import { dequantise, quantise } from '../encode/levels.ts';
import { LogitcaskError } from '../errors.ts';
import type { Sparsifier } from '../sparsify/sparsifier.ts';

const positionsMax = 2048;
const bisections = 24;

/** Mean KL of targets at a step: cells are the kept entries and the rest (merged). */
export function meanDivergence(targets: readonly Targets[], step: number, width: number): number {
  let sum = 0;
  let count = 0;
  for (const part of targets) {
    const grid = { step, tau: 0 };
    const stored = dequantise(quantise(part, grid), grid);
    for (let t = 0; t < part.count; t++) {
      const [from, to] = [part.offsets[t], part.offsets[t + 1]];
      if (from === to) continue;
      const exact = {
        ids: part.ids.subarray(from, to),
        logprobs: part.logprobs.subarray(from, to),
        tail: part.rest[t],
      };
      sum += divergence(exact, stored, { position: t, width }).merged;
      count++;
    }
  }
  return count === 0 ? 0 : sum / count;
}

/** The largest step (to 1e-7) whose mean KL on the sample stays within `klMax` nats. */
export async function solveStep(
  source: Source,
  { sparsifier, klMax }: { sparsifier: Sparsifier; klMax: number },
): Promise<number> {
  const targets = await firstTargets(source, sparsifier);
  const width = source.identity.vocabulary;
  let [low, high] = [2e-5, 0.5];
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

async function firstTargets(source: Source, sparsifier: Sparsifier): Promise<Targets[]> {
  const targets: Targets[] = [];
  let positions = 0;
  for await (const { sample, position, rows } of source.chunks(0)) {
    const labels = chunkLabels(sample, position, rows.count);
    const context = { labels, temperatures: [], sampleId: new Uint8Array(16), position };
    targets.push(sparsifier.sparsify(rows, context));
    positions += rows.count;
    if (positions >= positionsMax) break;
  }
  return targets;
}
