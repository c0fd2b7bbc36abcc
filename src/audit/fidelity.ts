/** How far what is stored lies from what the teacher said, measured on the reference positions. */
import type { AuditFidelity } from '../../schemas/audit.ts';
import type { Fidelity, Manifest, TargetSet } from '../../schemas/manifest.ts';
import { cutAndWhole, cutDivergence, squaredError } from '../distribution/divergence.ts';
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
 * at most, and so many numbers of each kind are kept. Where `headOnly`, entries behind the first K
 * are not compared one by one, and `all` stays empty.
 */
export function compareWithReference(
  { target_sets, label_space }: Pick<Manifest, 'target_sets' | 'label_space'>,
  set: TargetSet,
  { headOnly = false } = {},
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
      const k = set.sparsifier.entries_max;
      const place = { position, width, k };
      const { cut, whole } = headOnly
        ? { cut: cutDivergence(row, targets, place), whole: undefined }
        : cutAndWhole(row, targets, place);
      value.merged.push(cut.merged);
      value.spread.push(cut.spread);
      if (whole !== undefined) value.all.push(whole.spread);
      value.variation.push(cut.variation);
      value.masses.push(cut.mass);
    },
    value: () => value,
  };
}

export function mergeComparisons(a: Comparison, b: Comparison): Comparison {
  if (b.masses.length === 0) return a; // most shards: lists of all positions are not copied for it
  return {
    merged: a.merged.concat(b.merged),
    spread: a.spread.concat(b.spread),
    all: a.all.concat(b.all),
    variation: a.variation.concat(b.variation),
    squaredErrors: a.squaredErrors.concat(b.squaredErrors),
    masses: a.masses.concat(b.masses),
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

export interface ReferenceTally {
  /** Reads and decodes each sample that has a reference position, once where rows are in order. */
  add(rows: readonly ReferencePosition[]): Promise<void>;
  value(): ReferenceReport;
}

export function tallyReference(
  reader: SnapshotReader,
  set: TargetSet,
  how: { headOnly?: boolean } = {},
): ReferenceTally {
  const comparison = compareWithReference(reader.manifest, set, how);
  let stored: { ordinal: number; targets: DecodedTargets } | undefined;
  return {
    async add(rows) {
      for (const row of rows) {
        if (!comparison.takes(row)) continue;
        if (stored?.ordinal !== row.ordinal) {
          const { targets } = await readTargets(reader, set, row.ordinal);
          stored = { ordinal: row.ordinal, targets };
        }
        comparison.add(row, stored.targets);
      }
    },
    value: () => comparisonReport(comparison.value(), set, reader.manifest.totals),
  };
}

function predicted({ kind, codec, entries }: TargetSet, positions: number): number | null {
  const { step } = codec.parameters;
  if (kind !== 'scaled' || typeof step !== 'number') return null;
  return rounded((entries * step * step) / (6 * Math.max(1, positions)));
}

/** Mean, 99th percentile and maximum; sorts the values. */
export function summary(values: number[]): Fidelity['kl'] {
  if (values.length === 0) return null;
  const sorted = values.sort((a, b) => a - b);
  const mean = sorted.reduce((sum, value) => sum + value, 0) / sorted.length;
  const p99 = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.99))];
  return { mean: rounded(mean), p99: rounded(p99), max: rounded(sorted[sorted.length - 1]) };
}
