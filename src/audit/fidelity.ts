/** How far what is stored lies from what the teacher said, measured on the reference positions. */
import type { AuditFidelity } from '../../schemas/audit.ts';
import type { Fidelity, Manifest, TargetSet } from '../../schemas/manifest.ts';
import { divergence, squaredError } from '../distribution/divergence.ts';
import { rounded } from '../distribution/rounded.ts';
import type { DecodedTargets } from '../distribution/targets.ts';
import { labelSpaceIn } from '../encode/table.ts';
import { readTargets } from '../shard/read-targets.ts';
import type { SnapshotReader } from '../shard/reader.ts';
import type { ReferencePosition } from '../shard/reference.ts';
import { addBias, type Band, biasOf, mergeBands, newBands } from './bias.ts';

/** What reference positions showed, position by position; plain data. */
export interface Comparison {
  readonly merged: number[];
  readonly spread: number[];
  readonly all: number[];
  readonly variation: number[];
  readonly squaredErrors: number[];
  readonly masses: number[];
  /** Of unbiased sets. */
  readonly bands: Band[];
}

/** The part of a report on fidelity that a reference gives. */
export type ReferenceReport = Pick<AuditFidelity, 'kl_all' | 'total_variation' | 'bias'> & {
  readonly measured: Fidelity;
};

export interface ComparisonTally {
  /** Whether the row is of this set. */
  takes(row: ReferencePosition): boolean;
  /** `targets` are those of the row's whole sample. */
  add(row: ReferencePosition, targets: DecodedTargets): void;
  value(): Comparison;
}

/**
 * Compares the stored targets of reference positions with their exact lists: scaled targets by
 * their divergence from the list cut to K entries, others by their squared error. The lists of a
 * snapshot with several sets say by their number whose they are. A reference has 65,536 positions
 * at most, and so many numbers of each kind are kept.
 */
export function compareWithReference(
  { target_sets, label_space }: Pick<Manifest, 'target_sets' | 'label_space'>,
  set: TargetSet,
): ComparisonTally {
  const { size: width } = labelSpaceIn(set, label_space);
  const head = target_sets.findIndex(({ name }) => name === set.name);
  const value: Comparison = {
    merged: [],
    spread: [],
    all: [],
    variation: [],
    squaredErrors: [],
    masses: [],
    bands: newBands(),
  };
  const takes = (row: ReferencePosition) => (row.head ?? 0) === head;
  return {
    takes,
    add(row, targets) {
      const { position } = row;
      if (set.kind !== 'scaled') {
        const { error, mass } = squaredError(row, targets, position);
        value.squaredErrors.push(error);
        value.masses.push(mass);
        if (set.kind === 'unbiased') addBias(value.bands, row, { stored: targets, position, set });
        return;
      }
      const exact = cutTo(set.sparsifier.entries_max, row);
      const { merged, spread, variation, mass } = divergence(exact, targets, { position, width });
      value.merged.push(merged);
      value.spread.push(spread);
      value.all.push(divergence(row, targets, { position, width }).spread);
      value.variation.push(variation);
      value.masses.push(mass);
    },
    value: () => value,
  };
}

export function mergeComparisons(a: Comparison, b: Comparison): Comparison {
  return {
    merged: [...a.merged, ...b.merged],
    spread: [...a.spread, ...b.spread],
    all: [...a.all, ...b.all],
    variation: [...a.variation, ...b.variation],
    squaredErrors: [...a.squaredErrors, ...b.squaredErrors],
    masses: [...a.masses, ...b.masses],
    bands: mergeBands(a.bands, b.bands),
  };
}

export function comparisonReport(
  value: Comparison,
  set: TargetSet,
  { positions }: Manifest['totals'],
): ReferenceReport {
  const { masses } = value;
  return {
    measured: {
      positions: masses.length,
      kl: summary([...value.merged]),
      kl_spread: summary([...value.spread]),
      kl_predicted: predicted(set, positions),
      squared_error: summary([...value.squaredErrors]),
      mass: rounded(masses.reduce((sum, mass) => sum + mass, 0) / Math.max(1, masses.length)),
    },
    kl_all: summary([...value.all]),
    total_variation: summary([...value.variation]),
    bias: set.kind === 'unbiased' ? biasOf(value.bands, set) : null,
  };
}

/** Reads and decodes each sample that has a reference position, once. */
export async function measureReference(
  reader: SnapshotReader,
  set: TargetSet,
  reference: AsyncIterable<readonly ReferencePosition[]>,
): Promise<ReferenceReport> {
  const comparison = compareWithReference(reader.manifest, set);
  let stored: { ordinal: number; targets: DecodedTargets } | undefined;
  for await (const rows of reference) {
    for (const row of rows) {
      if (!comparison.takes(row)) continue;
      if (stored?.ordinal !== row.ordinal) {
        const { targets } = await readTargets(reader, set, row.ordinal);
        stored = { ordinal: row.ordinal, targets };
      }
      comparison.add(row, stored.targets);
    }
  }
  return comparisonReport(comparison.value(), set, reader.manifest.totals);
}

/** What a manifest states. */
export async function measureFidelity(
  reader: SnapshotReader,
  set: TargetSet,
  reference: AsyncIterable<readonly ReferencePosition[]>,
): Promise<Fidelity> {
  return (await measureReference(reader, set, reference)).measured;
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
