/** A report as an audit of a small data set gives it, with plausible numbers. */
import {
  type AuditReport,
  auditReport,
  type DriftReport,
  driftReport,
  type Finding,
} from '../../schemas/audit.ts';

const shifts = { positions: 4000, before: -9.31, at: -3.12, after: -8.87 };
const stated = {
  positions: 4096,
  kl: { mean: 9.3e-5, p99: 1.4e-4, max: 2.1e-4 },
  kl_spread: { mean: 0.36, p99: 0.9, max: 1.3 },
  kl_predicted: 9.4e-5,
  squared_error: null,
  mass: 0.9123,
};

const size: AuditReport['size'] = {
  positions: 40_000,
  bytes: 2_400_000,
  bytes_per_position: 60,
  images: null,
  target_bytes_per_position: 48,
  columns: [
    { name: 'sample_id', target_set: null, bytes: 16_000 },
    { name: 'tokens', target_set: null, bytes: 164_000 },
    { name: 'teacher_frame', target_set: 'teacher', bytes: 1_920_000 },
    { name: 'teacher_label_logprob', target_set: 'teacher', bytes: 84_000 },
  ],
  roles: [
    { role: 'shard', files: 2, bytes: 2_200_000 },
    { role: 'index', files: 2, bytes: 8000 },
    { role: 'reference', files: 1, bytes: 192_000 },
  ],
  files: {
    total: 5,
    rows: [{ name: 'shard-0.arrow', role: 'shard', bytes: 1_200_000, positions: 22_000 }],
  },
  others: [
    { name: 'whole distributions, float32', bytes_per_position: 32_768 },
    { name: 'int32 + float32 top-64', bytes_per_position: 512 },
  ],
  savings: {
    sampled_positions: 4096,
    rows: [
      ['--k 64 --step standard', 41, 280_000, 9e-4],
      ['--k 32 --step standard', 24, 960_000, 0.11],
      ['--k 16 --step 0.03', 12.5, 1_420_000, 0.34],
      ['--k 64 --step fine --compression lz4', 62, -560_000, 0],
    ].map(([flags, bytes, saved, kl]) => ({
      target_set: 'teacher',
      flags: flags as string,
      kind: 'scaled' as const,
      compression: String(flags).includes('lz4') ? ('lz4' as const) : ('zstd' as const),
      bytes_per_position: bytes as number,
      bytes_saved: saved as number,
      kl: kl as number,
      variance: null,
    })),
  },
  cost: null,
};

const fidelity: AuditReport['fidelity'][number] = {
  target_set: 'teacher',
  kind: 'scaled',
  measured: stated,
  stated,
  kl_all: { mean: 0.09, p99: 0.4, max: 0.9 },
  total_variation: { mean: 0.06, p99: 0.2, max: 0.31 },
  bias: null,
  rest: { edges: [0, 0.05, 0.1, 0.5, 1], counts: [30_000, 6000, 3500, 500] },
  entropy: { edges: [0, 1, 2, 3, 4, 6, 9], counts: [9000, 8000, 9000, 8000, 5000, 1000] },
  mass_by_k: [
    { k: 1, mass: 0.42 },
    { k: 8, mass: 0.71 },
    { k: 64, mass: 0.912 },
  ],
  calibration: {
    positions: 39_000,
    entropy: 3.02,
    surprise: 3.12,
    rest: 0.088,
    outside: 0.091,
    temperature_fitted: 1.01,
    temperature_error: 0.01,
    label_gap: { mean: 1e-4, p99: 4e-4, max: 9e-4 },
    top1: 0.44,
  },
  temperature: 1,
  temperature_exact: true,
  log_z: [{ temperature: 2, violations: 0, gap: 0 }],
};

/** Sound, unless `changes` say otherwise. */
export function auditReportOf(changes: Partial<AuditReport> = {}): AuditReport {
  return auditReport.parse({
    format: 'logitcask-audit',
    version: 1,
    dataset: 'default',
    snapshot: 'ab'.repeat(32),
    partial: false,
    progress: { bytes: 2_400_000, bytes_total: 2_400_000 },
    started_ms: Date.UTC(2026, 0, 2, 3),
    updated_ms: Date.UTC(2026, 0, 2, 4),
    size,
    integrity: {
      files: 5,
      files_checked: 5,
      bytes_checked: 2_400_000,
      problems: { total: 0, rows: [] },
      orphans: { total: 0, rows: [] },
      quarantined: { total: 0, rows: [] },
      images: null,
    },
    alignment: [
      {
        target_set: 'teacher',
        ...shifts,
        best: 0,
        shards: { total: 2, rows: [{ name: 'shard-0.arrow', ...shifts }] },
        sources: { total: 2, rows: [{ source: 'genesis', ...shifts }] },
      },
    ],
    fidelity: [fidelity],
    coverage: {
      samples: 1000,
      positions: 40_000,
      learned: 39_000,
      sources: {
        total: 2,
        rows: [
          { source: 'genesis', samples: 600, positions: 24_000, learned: 23_400 },
          { source: 'exodus', samples: 400, positions: 16_000, learned: 15_600 },
        ],
      },
      duplicates: { samples: 3, positions: 120 },
      lengths: { edges: [1, 16, 32, 48, 64], counts: [100, 300, 500, 100] },
      vocabulary: { size: 8192, used: 6100, most: [{ id: 11, share: 0.05 }] },
      mask_faults: { last: 0, without_target: 0 },
      little: [{ entropy_max: 0.01, positions: 800, bytes_saved: 21_000 }],
    },
    findings: [],
    ...changes,
  });
}

export function findingOf(changes: Partial<Finding> = {}): Finding {
  return {
    code: 'alignment-shifted',
    severity: 'fault',
    section: 'alignment',
    target_set: 'teacher',
    message: 'row t describes token t',
    expected: 0,
    got: -1,
    ...changes,
  };
}

export function driftReportOf(): DriftReport {
  const place = { dataset: 'default', snapshot: 'cd'.repeat(32), target_set: 'teacher' };
  return driftReport.parse({
    before: place,
    after: { ...place, snapshot: 'ab'.repeat(32) },
    samples: { both: 900, before_only: 100, after_only: 0 },
    positions: 36_000,
    kl: { mean: 0.012, p99: 0.2, max: 1.5 },
    kl_back: { mean: 0.013, p99: 0.22, max: 1.7 },
    total_variation: { mean: 0.04, p99: 0.2, max: 0.6 },
    top1: 0.96,
    sources: { total: 1, rows: [{ source: 'genesis', positions: 36_000, kl: 0.012, top1: 0.96 }] },
    positions_most: [{ sample_id: '0f'.repeat(16), position: 7, kl: 1.5 }],
  });
}
