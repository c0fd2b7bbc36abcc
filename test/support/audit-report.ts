/** An audit's report of a snapshot of which nothing is known yet, for tests of who passes it on. */
import type { AuditReport, Finding } from '../../schemas/audit.ts';

export function reportOf(
  { dataset, snapshot }: { dataset: string; snapshot: string },
  change: Partial<AuditReport> = {},
): AuditReport {
  const none = { total: 0, rows: [] };
  const histogram = { edges: [0, 1], counts: [0] };
  return {
    format: 'logitcask-audit',
    version: 1,
    dataset,
    snapshot,
    partial: false,
    progress: { bytes: 100, bytes_total: 100 },
    started_ms: 1,
    updated_ms: 2,
    size: {
      positions: 0,
      bytes: 0,
      bytes_per_position: 0,
      target_bytes_per_position: 0,
      columns: [],
      roles: [],
      files: none,
      others: [],
      savings: { sampled_positions: 0, rows: [] },
      cost: null,
    },
    integrity: {
      files: 0,
      files_checked: 0,
      bytes_checked: 0,
      problems: none,
      orphans: none,
      quarantined: [],
    },
    alignment: [],
    fidelity: [],
    coverage: {
      samples: 0,
      positions: 0,
      learned: 0,
      sources: none,
      duplicates: { samples: 0, positions: 0 },
      lengths: histogram,
      vocabulary: { size: 0, used: 0, most: [] },
      mask_faults: { last: 0, without_target: 0 },
      little: [],
    },
    findings: [],
    ...change,
  };
}

export function findingOf(severity: Finding['severity']): Finding {
  const about = { section: 'size', target_set: null, message: 'of a test' } as const;
  return { code: 'of-a-test', severity, ...about, expected: null, got: null };
}
