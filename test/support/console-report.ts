/**
 * An audit's report over the rows that a server gives, for servers without the audit: real numbers by
 * the plainest arithmetic.
 */
import { type AuditReport, auditReport, type Histogram } from '../../schemas/audit.ts';
import type { Manifest, TargetSet } from '../../schemas/manifest.ts';
import { measureSize } from '../../src/audit/size.ts';
import type { Store } from '../../src/store/store.ts';
import { type Position, positionsOf } from '../../web/src/samples/position.ts';
import type { Row } from '../../web/src/types.ts';

export interface Rows {
  readonly dataset: string;
  readonly snapshot: string;
  readonly manifest: Manifest;
  readonly rows: readonly Row[];
}

export async function reportOfRows(store: Store, of: Rows): Promise<AuditReport> {
  const { dataset, snapshot, manifest, rows } = of;
  const { totals, files } = manifest;
  const size = await measureSize(store, { dataset, snapshot });
  const listed = files.map(({ role, name, bytes, positions }) => ({
    role,
    name,
    bytes,
    positions,
  }));
  return auditReport.parse({
    format: 'logitcask-audit',
    version: 1,
    dataset,
    snapshot,
    partial: false,
    progress: { bytes: totals.bytes, bytes_total: totals.bytes },
    started_ms: Date.now(),
    updated_ms: Date.now(),
    size: {
      positions: totals.positions,
      bytes: totals.bytes,
      bytes_per_position: size.whole,
      target_bytes_per_position: size.targets,
      columns: size.columns.map(({ name, bytes }) => ({ name, target_set: null, bytes })),
      roles: size.files.map(({ role, bytes }) => ({ role, files: 1, bytes })),
      files: { total: listed.length, rows: listed.slice(0, 100) },
      others: [
        { name: 'whole distributions, float32', bytes_per_position: size.full },
        { name: `int32 + float32 top-${size.topK / 8}`, bytes_per_position: size.topK },
      ],
      savings: { sampled_positions: 0, rows: [] },
      cost: null,
    },
    integrity: {
      files: files.length,
      files_checked: files.length,
      bytes_checked: totals.bytes,
      problems: { total: 0, rows: [] },
      orphans: { total: 0, rows: [] },
      quarantined: [],
    },
    alignment: manifest.target_sets.map((set) => alignmentOf(set, of)),
    fidelity: manifest.target_sets.map((set) => fidelityOf(set, of)),
    coverage: {
      ...coverageOf(rows),
      samples: totals.samples,
      positions: totals.positions,
      learned: totals.learned,
      vocabulary: {
        size: manifest.label_space.size,
        used: new Set(rows.flatMap(({ tokens }) => tokens)).size,
        most: [],
      },
    },
    findings: [],
  });
}

const decoded = (set: TargetSet, { rows, manifest }: Rows) =>
  rows.map((row) => ({
    row,
    positions: positionsOf(row, row.targets[set.name], manifest.label_space.size),
  }));

const mean = (values: readonly number[]) =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);

/** Of stored entries; what is not among them counts as the least one. */
function shiftsOf(samples: readonly { row: Row; positions: readonly Position[] }[]) {
  const at = (shift: number) =>
    mean(
      samples.flatMap(({ row, positions }) =>
        positions.slice(1, -2).map(({ index, entries }) => {
          const token = row.tokens[index + 1 + shift];
          const p = entries.find(({ id }) => id === token)?.p ?? entries.at(-1)?.p ?? 1;
          return Math.log(p / 2);
        }),
      ),
    );
  const positions = samples.reduce((sum, { row }) => sum + row.tokens.length, 0);
  return { positions, before: at(-1), at: at(0), after: at(1) };
}

function alignmentOf(set: TargetSet, of: Rows): AuditReport['alignment'][number] {
  const samples = decoded(set, of);
  const shards = of.manifest.files.filter(({ role }) => role === 'shard');
  let from = 0;
  const rows = shards.slice(0, 100).map(({ name, samples: held }) => {
    const part = samples.slice(from, from + held);
    from += held;
    return { name, ...shiftsOf(part) };
  });
  const shifts = shiftsOf(samples);
  const most = Math.max(shifts.before, shifts.at, shifts.after);
  return {
    target_set: set.name,
    ...shifts,
    best: most === shifts.at ? 0 : most === shifts.before ? -1 : 1,
    shards: { total: shards.length, rows },
    sources: { total: 0, rows: [] },
  };
}

function histogramOf(values: readonly number[], edges: readonly number[]): Histogram {
  const counts = edges.slice(1).map(() => 0);
  for (const value of values) {
    const bin = edges.findLastIndex((edge) => value >= edge);
    if (bin >= 0) counts[Math.min(bin, counts.length - 1)]++;
  }
  return { edges: [...edges], counts };
}

function fidelityOf(set: TargetSet, of: Rows): AuditReport['fidelity'][number] {
  const positions = decoded(set, of).flatMap((sample) => sample.positions);
  const scaled = set.kind === 'scaled';
  const entropies = positions.flatMap(({ entropy }) => (entropy === null ? [] : [entropy]));
  const ks = [1, 2, 4, 8, 16, 32].filter((k) => k <= set.sparsifier.entries_max);
  const massOf = (k: number) =>
    mean(positions.map(({ entries }) => entries.slice(0, k).reduce((sum, { p }) => sum + p, 0)));
  const twentieths = Array.from({ length: 21 }, (_, i) => i / 20);
  return {
    target_set: set.name,
    kind: set.kind,
    measured: set.fidelity,
    stated: set.fidelity,
    total_variation: null,
    bias: null,
    rest: scaled
      ? histogramOf(
          positions.map(({ rest }) => rest ?? 0),
          twentieths,
        )
      : null,
    entropy: histogramOf(
      entropies,
      Array.from({ length: 21 }, (_, i) => i / 2),
    ),
    mass_by_k: scaled ? ks.map((k) => ({ k, mass: massOf(k) })) : [],
    calibration: null,
    temperature: set.temperature,
    temperature_exact: set.temperature_exact,
    log_z: [],
  };
}

function coverageOf(rows: readonly Row[]) {
  const sources = new Map<string, { samples: number; positions: number; learned: number }>();
  for (const { meta, tokens, mask } of rows) {
    const { source, document } = meta as { source?: unknown; document?: unknown };
    const name = String(source ?? document ?? '(none)');
    const sum = sources.get(name) ?? { samples: 0, positions: 0, learned: 0 };
    sources.set(name, {
      samples: sum.samples + 1,
      positions: sum.positions + tokens.length,
      learned: sum.learned + mask.filter(Boolean).length,
    });
  }
  const listed = [...sources].map(([source, sum]) => ({ source, ...sum }));
  listed.sort((a, b) => b.positions - a.positions);
  return {
    sources: { total: listed.length, rows: listed.slice(0, 100) },
    duplicates: { samples: 0, positions: 0 },
    lengths: histogramOf(
      rows.map(({ tokens }) => tokens.length),
      Array.from({ length: 11 }, (_, i) => i * 52),
    ),
    mask_faults: { last: 0, without_target: 0 },
    little: [],
  };
}
