/**
 * The audit of a snapshot: one document for the terminal, HTTP and the console. Its size is
 * bounded, whatever the snapshot's: lists are cut to the most telling rows, and say how many there
 * were.
 */
import { z } from 'zod';
import { imagesReport } from './audit-images.ts';
import { count, name, sha256, targetKind, targetSetName, temperature } from './common.ts';
import { fidelity, fileRole, imagesStored, summary, targetSet } from './manifest.ts';
import { modelInput } from './preprocess.ts';

/** Rows of a list that a report keeps. */
export const auditRowsMax = 100;

/** `counts[i]` values lie in [edges[i], edges[i + 1]); the last bin holds its upper edge too. */
export const histogram = z.strictObject({ edges: z.array(z.number()), counts: z.array(count) });

/** A list cut to its most telling rows; `total` counts all. */
const listOf = <T extends z.ZodType>(row: T) =>
  z.strictObject({ total: count, rows: z.array(row).max(auditRowsMax) });

/** What one way to store the same targets takes and loses, measured on a sample of the snapshot. */
export const saving = z.strictObject({
  target_set: targetSetName,
  /** As flags of `build`, e.g. `--k 32 --step standard`. */
  flags: z.string(),
  kind: targetKind,
  compression: z.enum(['zstd', 'lz4']),
  /** Bytes a position of targets. */
  bytes_per_position: z.number(),
  /** Bytes of the whole data set that it saves (negative: costs more). */
  bytes_saved: z.number(),
  /** Scaled: KL(stored now ‖ stored so) in nats, the rest spread evenly; mean. */
  kl: z.number().nullable(),
  /** Unbiased: Σ (weight − p)² that it adds or, larger τ, draws anew; mean. */
  variance: z.number().nullable(),
});

export const sizeReport = z.strictObject({
  positions: count,
  bytes: count,
  bytes_per_position: z.number(),
  /** Of the columns of distributions alone. */
  target_bytes_per_position: z.number(),
  /** Stored images, beside `bytes`; null where none are. */
  images: imagesStored.nullable().default(null),
  columns: z.array(
    z.strictObject({ name: z.string(), target_set: targetSetName.nullable(), bytes: count }),
  ),
  roles: z.array(z.strictObject({ role: fileRole, files: count, bytes: count })),
  /** Largest first. */
  files: listOf(z.strictObject({ name, role: fileRole, bytes: count, positions: count })),
  /** The same positions stored by others, by arithmetic: `K` of scaled targets, otherwise 64. */
  others: z.array(z.strictObject({ name: z.string(), bytes_per_position: z.number() })),
  savings: z.strictObject({ sampled_positions: count, rows: z.array(saving) }),
  /** Null where no prices were given. */
  cost: z
    .strictObject({
      currency: z.string(),
      storage_per_gb_month: z.number(),
      egress_per_gb: z.number(),
      per_month: z.number(),
      /** One epoch of one trainer, layout `frames`. */
      per_epoch: z.number(),
    })
    .nullable(),
});

export const integrityReport = z.strictObject({
  files: count,
  files_checked: count,
  bytes_checked: count,
  /** Codes of errors.ts. */
  problems: listOf(z.strictObject({ code: z.string(), file: z.string(), message: z.string() })),
  /** Files of the data set that no snapshot and no running build names. */
  orphans: listOf(z.strictObject({ path: z.string(), bytes: count })),
  /** Damaged files that servers refuse from now on. */
  quarantined: listOf(z.string()),
  /** Null for texts. */
  images: imagesReport(auditRowsMax).nullable(),
});

/** Mean log-prob of the token at t + 1 + shift under position t. */
const shifts = { positions: count, before: z.number(), at: z.number(), after: z.number() };

export const alignmentReport = z.strictObject({
  target_set: targetSetName,
  ...shifts,
  /** −1: row t describes token t; 0 is what a manifest declares; null: nothing to tell by. */
  best: z.union([z.literal(-1), z.literal(0), z.literal(1)]).nullable(),
  /** Those whose `at` leads by least first. */
  shards: listOf(z.strictObject({ name, ...shifts })),
  sources: listOf(z.strictObject({ source: z.string(), ...shifts })),
});

/** How what is stored agrees with the tokens that came: the tests that need no reference. */
export const calibration = z.strictObject({
  /** Learned positions whose next token is known. */
  positions: count,
  /** Mean entropy of the stored distributions, nats; scaled: the rest spread evenly. */
  entropy: z.number(),
  /** Mean −log p of the next token under the same. */
  surprise: z.number(),
  /**
   * Mean rest, and the share of next tokens outside the stored entries: alike if honest. Unbiased:
   * mean mass of what was drawn at τ, and the share outside the entries above τ.
   */
  rest: z.number().nullable(),
  outside: z.number().nullable(),
  /**
   * T for which p^(1/T) over the stored entries (unbiased: above τ) fits the next tokens among them
   * best; near 1 if targets are at temperature 1, null where the tokens do not tell.
   */
  temperature_fitted: z.number().nullable(),
  /** Its standard error. */
  temperature_error: z.number().nullable(),
  /** Largest |stored log-prob of the label − that of its entry|, where both are stored. */
  label_gap: summary.nullable(),
  /** Share of positions whose most probable entry is the next token. */
  top1: z.number(),
});

export const fidelityReport = z.strictObject({
  target_set: targetSetName,
  kind: targetKind,
  /** Measured again against the reference; null where there is none. */
  measured: fidelity.nullable(),
  /** As the manifest states it. */
  stated: fidelity.nullable(),
  /**
   * Scaled: KL(teacher ‖ stored) over the reference's whole lists, the rest spread evenly over the
   * ids that are not stored: what also a student without rounding cannot learn from K entries.
   */
  kl_all: summary.nullable(),
  /** Half of Σ |p − q| over the cells of `kl_spread`; scaled targets. */
  total_variation: summary.nullable(),
  /**
   * Unbiased: Σ (weight − p) over reference entries in bands of p, in standard errors of honest
   * draws; and the same of Σ (weight − p)², which tells rounding to the nearest level from rounding
   * at random. `p_max` 0: all that lies beyond the reference's lists.
   */
  bias: z
    .array(
      z.strictObject({
        p_min: z.number(),
        p_max: z.number(),
        entries: count,
        error: z.number(),
        z: z.number(),
        z_spread: z.number(),
      }),
    )
    .nullable(),
  rest: histogram.nullable(),
  entropy: histogram,
  /** Scaled: mean mass of the k most probable stored entries; k = 1, 2, 4 … K. */
  mass_by_k: z.array(z.strictObject({ k: z.int().positive(), mass: z.number() })),
  calibration: calibration.nullable(),
  temperature: temperature,
  temperature_exact: z.boolean(),
  /** Extra temperatures: how far the stored log Z_T lies outside of what the entries allow. */
  log_z: z.array(z.strictObject({ temperature, violations: count, gap: z.number() })),
});

export const coverageReport = z.strictObject({
  samples: count,
  positions: count,
  learned: count,
  /** Most positions first; `source`: `meta.source`, `file` or `document`, or `(none)`. */
  sources: listOf(
    z.strictObject({ source: z.string(), samples: count, positions: count, learned: count }),
  ),
  duplicates: z.strictObject({ samples: count, positions: count }),
  lengths: histogram,
  vocabulary: z.strictObject({
    size: count,
    used: count,
    most: z.array(z.strictObject({ id: count, share: z.number() })).max(20),
  }),
  /** Samples whose mask is set at the last position, or at one without a target. */
  mask_faults: z.strictObject({ last: count, without_target: count }),
  /** Learned positions with less entropy than this, and the bytes that leaving them out saves. */
  little: z.array(
    z.strictObject({ entropy_max: z.number(), positions: count, bytes_saved: z.number() }),
  ),
});

/** Something that the audit will not bless. */
export const finding = z.strictObject({
  /** Stable; docs/audit.md lists them. */
  code: z.string(),
  severity: z.enum(['fault', 'warning']),
  section: z.enum(['size', 'integrity', 'alignment', 'fidelity', 'coverage', 'threshold']),
  target_set: targetSetName.nullable(),
  message: z.string(),
  expected: z.unknown(),
  got: z.unknown(),
});

export const auditReport = z.strictObject({
  format: z.literal('logitcask-audit'),
  version: z.literal(1),
  dataset: name,
  snapshot: sha256,
  /** True while it runs: what is there is of the shards seen so far. */
  partial: z.boolean(),
  progress: z.strictObject({ bytes: count, bytes_total: count }),
  /** Milliseconds since the epoch. */
  started_ms: z.number(),
  updated_ms: z.number(),
  size: sizeReport,
  integrity: integrityReport,
  alignment: z.array(alignmentReport),
  fidelity: z.array(fidelityReport),
  coverage: coverageReport,
  /** Faults first. */
  findings: z.array(finding),
});

/** Two target sets over the same samples, position by position. */
export const driftReport = z.strictObject({
  before: z.strictObject({ dataset: name, snapshot: sha256, target_set: targetSetName }),
  after: z.strictObject({ dataset: name, snapshot: sha256, target_set: targetSetName }),
  /** Samples that both hold, by content address; and what only one of them holds. */
  samples: z.strictObject({ both: count, before_only: count, after_only: count }),
  positions: count,
  /** KL(before ‖ after) and back, over the entries of both and the rest as one cell, nats. */
  kl: summary.nullable(),
  kl_back: summary.nullable(),
  total_variation: summary.nullable(),
  /** Share of positions with the same most probable entry. */
  top1: z.number(),
  sources: listOf(
    z.strictObject({ source: z.string(), positions: count, kl: z.number(), top1: z.number() }),
  ),
  /** Largest KL first. */
  positions_most: z
    .array(z.strictObject({ sample_id: z.string(), position: count, kl: z.number() }))
    .max(20),
});

/** A label space without the names of its classes. */
const spaceFacts = z.strictObject({ kind: z.string(), size: count, tokenizer: sha256.nullable() });

/** A snapshot at a glance, whatever its number of files: what the console lists. */
export const statistics = z.strictObject({
  dataset: name,
  snapshot: sha256,
  tags: z.array(name),
  kind: z.enum(['text', 'vision']),
  label_space: spaceFacts,
  totals: z.strictObject({ samples: count, positions: count, learned: count, bytes: count }),
  roles: sizeReport.shape.roles,
  bytes_per_position: z.number(),
  /** Stored images; null where none are. */
  images: sizeReport.shape.images,
  origin: z.string(),
  licence: z.string(),
  /** What the geometry is in pixels of, where a model gave it; else null. */
  model_input: modelInput.nullable(),
  parent: sha256.nullable(),
  target_sets: z.array(
    z.strictObject({
      name: targetSetName,
      teacher: z.string(),
      kind: targetKind,
      /** Where it is over other classes than the snapshot's; else null. */
      label_space: spaceFacts.nullable(),
      normalisation: targetSet.shape.normalisation,
      sparsifier: z.string(),
      codec: z.string(),
      temperature,
      log_z: z.array(temperature),
      entries_per_position: z.number(),
      fidelity: fidelity.nullable(),
      alignment: z.strictObject(shifts).nullable(),
    }),
  ),
  /** The last audit of this snapshot; null where there is none. */
  audit: z
    .strictObject({ partial: z.boolean(), updated_ms: z.number(), faults: count, warnings: count })
    .nullable(),
});

export type Histogram = z.infer<typeof histogram>;
export type Saving = z.infer<typeof saving>;
export type AuditSize = z.infer<typeof sizeReport>;
export type AuditIntegrity = z.infer<typeof integrityReport>;
export type AuditAlignment = z.infer<typeof alignmentReport>;
export type Calibration = z.infer<typeof calibration>;
export type AuditFidelity = z.infer<typeof fidelityReport>;
export type AuditCoverage = z.infer<typeof coverageReport>;
export type Finding = z.infer<typeof finding>;
export type AuditReport = z.infer<typeof auditReport>;
export type DriftReport = z.infer<typeof driftReport>;
export type Statistics = z.infer<typeof statistics>;
