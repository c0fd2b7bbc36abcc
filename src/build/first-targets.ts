/** Targets of the first samples of a source, by several sparsifiers in one reading. */
import { chunkLabels, type SampleInput, type Source } from '../capture/source.ts';
import { joinTargets, type Targets } from '../distribution/targets.ts';
import type { Sparsifier } from '../sparsify/sparsifier.ts';
import { sampleIdsOf } from './sample-ids.ts';

export interface FirstTargets {
  readonly sample: SampleInput;
  /** In the order of the sparsifiers. */
  readonly targets: readonly Targets[];
}

export interface FirstTargetsOptions {
  readonly sparsifiers: readonly Sparsifier[];
  /** Whole samples are read, as many as reach this; a longer one up to the chunk that does. */
  readonly positionsMax: number;
}

/** What a build makes of these samples, without extra temperatures: the same random draws, too. */
export async function* firstTargets(
  source: Source,
  { sparsifiers, positionsMax }: FirstTargetsOptions,
): AsyncGenerator<FirstTargets> {
  const idOf = sampleIdsOf(source);
  let sampleId: Uint8Array = new Uint8Array(0);
  let parts: Targets[][] = sparsifiers.map(() => []);
  let positions = 0;
  for await (const { sample, position, rows } of source.chunks(0)) {
    if (position === 0) sampleId = idOf(sample);
    const labels = chunkLabels(sample, position, rows.count);
    const context = { labels, temperatures: [], sampleId, position };
    sparsifiers.forEach((sparsifier, i) => {
      parts[i].push(sparsifier.sparsify(rows, context));
    });
    const read = position + rows.count;
    if (read < Math.min(sample.mask.length, positionsMax)) continue;
    yield { sample, targets: parts.map(joinTargets) };
    parts = sparsifiers.map(() => []);
    positions += read;
    if (positions >= positionsMax) return;
  }
}
