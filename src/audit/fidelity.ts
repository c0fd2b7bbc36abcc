/** How far what is stored lies from what the teacher said, measured on the reference positions. */
import type { Fidelity, TargetSet } from '../../schemas/manifest.ts';
import {
  divergence,
  type PositionDivergence,
  type PositionError,
  squaredError,
} from '../distribution/divergence.ts';
import type { DecodedTargets } from '../distribution/targets.ts';
import { labelSpaceIn } from '../encode/table.ts';
import { readTargets } from '../shard/read-targets.ts';
import type { SnapshotReader } from '../shard/reader.ts';
import type { ReferencePosition } from '../shard/reference.ts';

/** Six significant digits: enough to compare, and stable where sums round differently. */
const rounded = (value: number) => Number(value.toPrecision(6));

/**
 * Compares the stored targets of each reference position with its exact list: scaled targets by
 * their divergence from the list cut to K entries, others by their squared error. The lists of a
 * snapshot with several sets say by their number whose they are.
 */
export async function measureFidelity(
  reader: SnapshotReader,
  set: TargetSet,
  reference: AsyncIterable<readonly ReferencePosition[]>,
): Promise<Fidelity> {
  const { label_space, target_sets } = reader.manifest;
  const { size: width } = labelSpaceIn(set, label_space);
  const head = target_sets.findIndex(({ name }) => name === set.name);
  const scaled: PositionDivergence[] = [];
  const unbiased: PositionError[] = [];
  let stored: { ordinal: number; targets: DecodedTargets } | undefined;
  for await (const rows of reference) {
    for (const row of rows) {
      if ((row.head ?? 0) !== head) continue;
      if (stored?.ordinal !== row.ordinal) {
        const { targets } = await readTargets(reader, set, row.ordinal);
        stored = { ordinal: row.ordinal, targets };
      }
      const { position } = row;
      const { targets } = stored;
      if (set.kind !== 'scaled') unbiased.push(squaredError(row, targets, position));
      else {
        const exact = cutTo(set.sparsifier.entries_max, row);
        scaled.push(divergence(exact, targets, { position, width }));
      }
    }
  }
  const found = [...scaled, ...unbiased];
  const { positions } = reader.manifest.totals;
  return {
    positions: found.length,
    kl: summary(scaled.map(({ merged }) => merged)),
    kl_spread: summary(scaled.map(({ spread }) => spread)),
    kl_predicted: predicted(set, positions),
    squared_error: summary(unbiased.map(({ error }) => error)),
    mass: rounded(found.reduce((sum, { mass }) => sum + mass, 0) / Math.max(1, found.length)),
  };
}

function predicted({ kind, codec, entries }: TargetSet, positions: number): number | null {
  const { step } = codec.parameters;
  if (kind !== 'scaled' || typeof step !== 'number') return null;
  return rounded((entries * step * step) / (6 * Math.max(1, positions)));
}

function cutTo(k: number, row: ReferencePosition) {
  let tail = row.tail;
  for (let i = k; i < row.logprobs.length; i++) tail += Math.exp(row.logprobs[i]);
  return { ids: row.ids.subarray(0, k), logprobs: row.logprobs.subarray(0, k), tail };
}

/** Mean, 99th percentile and maximum; sorts the values. */
export function summary(values: number[]): Fidelity['kl'] {
  if (values.length === 0) return null;
  const sorted = values.sort((a, b) => a - b);
  const mean = sorted.reduce((sum, value) => sum + value, 0) / sorted.length;
  const p99 = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.99))];
  return { mean: rounded(mean), p99: rounded(p99), max: rounded(sorted[sorted.length - 1]) };
}
