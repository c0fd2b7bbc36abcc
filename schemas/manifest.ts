/**
 * The manifest: what a snapshot is. Written last, as RFC 8785 canonical JSON; its SHA-256 is the
 * snapshot's id. Version 1 already holds what later parts use (several target sets, both kinds of
 * target, vision, packing, tombstones, overlays), so that the format does not move under them.
 */
import { z } from 'zod';
import {
  count,
  isName,
  name,
  sha256,
  sha256Pattern,
  targetKind,
  targetSetName,
  temperature,
} from './common.ts';
import { modelInput } from './preprocess.ts';

/** Format version that this code writes and the latest that it reads. */
export const formatVersion = 1;

/** Feature flags that this code understands; a manifest that names another is refused. */
export const knownFeatures: readonly string[] = ['images', 'parquet', 'responses'];

export const labelSpace = z.strictObject({
  kind: z.enum(['vocabulary', 'classes']),
  /** V */
  size: z.int().positive().max(0xffffffff),
  /** SHA-256 of tokenizer.json, null where unknown. */
  tokenizer: sha256.nullable(),
  /** Names of the classes, for `classes`. */
  names: z.array(z.string()).optional(),
});

/** A column with values at every position of a vision sample, beside targets and mask. */
export const inputField = z.strictObject({
  name: z
    .string()
    .max(64)
    .regex(/^[a-z][a-z0-9_]*$/),
  type: z.enum(['int32', 'uint8', 'uint16', 'uint32', 'uint64', 'float32']),
  /** Values a position. */
  items: z.int().min(1).max(16),
});

export const inputFields = z.array(inputField).max(64);

export const teacher = z.strictObject({
  name: z.string(),
  revision: z.string(),
  source: z.string(),
  reports: z.enum(['whole', 'top-list']),
});

/** Over the reference positions. */
export const summary = z.strictObject({ mean: z.number(), p99: z.number(), max: z.number() });

export const fidelity = z.strictObject({
  /** Reference positions measured. */
  positions: count,
  /**
   * Scaled targets: KL(teacher ‖ stored) in nats. Cells: the reference entries and the rest;
   * dropped entries merged into the rest.
   */
  kl: summary.nullable(),
  /** The same with the rest spread uniformly over the ids that are not stored. */
  kl_spread: summary.nullable(),
  /** Scaled targets: closed form n·step²/6, n the mean number of entries; null if lossless. */
  kl_predicted: z.number().nullable(),
  /** Unbiased targets: Σ (weight − p)² over the label space. Its mean is the variance. */
  squared_error: summary.nullable(),
  /** Mean probability mass kept; for unbiased targets the mean sum of the weights. */
  mass: z.number(),
});

/** Mean log-prob of the token at t + 1 + shift under position t; best at shift 0. */
export const alignmentCheck = z.strictObject({
  positions: count,
  before: z.number(),
  at: z.number(),
  after: z.number(),
});

export const targetSet = z.strictObject({
  name: targetSetName,
  teacher,
  kind: targetKind,
  /** Where it is over other classes than the snapshot's: another head of a detector. */
  label_space: labelSpace.optional(),
  normalisation: z.enum(['softmax', 'sigmoid']),
  sparsifier: z.strictObject({
    name: z.string(),
    parameters: z.record(z.string(), z.number()),
    /** Most entries that a position can hold. */
    entries_max: z.int().positive(),
  }),
  codec: z.strictObject({
    name: z.enum(['planes', 'plain', 'raw']),
    parameters: z.record(z.string(), z.union([z.number(), z.string()])),
  }),
  /** Temperature that scaled log-probs are at, and that unbiased targets were drawn at. */
  temperature,
  /** Extra temperatures with a stored log Z_T, ascending. */
  log_z: z.array(temperature),
  /** False where the teacher reports top lists only: temperatures ≠ 1 are approximate. */
  temperature_exact: z.boolean(),
  label_logprob: z.boolean(),
  entries: count,
  fidelity: fidelity.nullable(),
  alignment: alignmentCheck.nullable(),
});

/** Tokens that a teacher read and wrote, and what they cost. */
export const usage = z.strictObject({
  requests: count,
  prompt_tokens: count,
  completion_tokens: count,
  /** In `price.currency`; null where no price was given. */
  cost: z.number().nonnegative().nullable(),
});

/** How the responses of a labelled data set were made; feature `responses`. */
export const responses = z.strictObject({
  /** Which side of the split by prompt this is, and the share of the validation side. */
  split: z.strictObject({ name: z.enum(['train', 'validation']), validation: z.number() }),
  model: z.string(),
  /** Kind of the server, e.g. `vllm`, and what it says of itself. */
  server: z.string(),
  version: z.string(),
  sampling: z.strictObject({
    temperature: z.number(),
    top_p: z.number(),
    max_tokens: count,
    stop: z.array(z.string()),
    seed: count,
    responses: count,
    /** Entries of the lists asked for; 0 where only text was. */
    top_k: count,
  }),
  /** `chat`: prompts were messages; `text`: texts to go on with. */
  mode: z.enum(['chat', 'text']),
  template: z.string().nullable(),
  system: z.string().nullable(),
  /** SHA-256 over the digests of the prompts, in order. */
  prompts_digest: sha256,
  filter: z.record(z.string(), z.unknown()),
  /** Of both sides: prompts read, asked, responses, and what was left out, by reason. */
  counts: z.strictObject({
    prompts_read: count,
    prompts: count,
    responses: count,
    kept: count,
    dropped: z.record(z.string(), count),
  }),
  /** Of all responses, kept or not. */
  usage,
  price: z
    .strictObject({ prompt: z.number(), completion: z.number(), currency: z.string() })
    .nullable(),
});

export const fileRole = z.enum(['shard', 'index', 'reference', 'packing', 'tokenizer', 'images']);

export const file = z.strictObject({
  role: fileRole,
  name,
  bytes: count,
  sha256,
  /** Samples and positions that the file holds; 0 where it holds none. */
  samples: count,
  positions: count,
  /** Codec parameters of this shard, by target set, where they differ from the target set's. */
  overrides: z
    .record(targetSetName, z.record(z.string(), z.union([z.number(), z.string()])))
    .optional(),
});

export const imagesStored = z.strictObject({ count, bytes: count });

export const manifest = z.strictObject({
  format: z.literal('logitcask'),
  version: z.int().positive(),
  features: z.array(z.string()),
  dataset: name,
  kind: z.enum(['text', 'vision']),
  alignment: z.literal('predicts-next').nullable(),
  label_space: labelSpace,
  /** Vision: SHA-256 of the augmentation pipeline's description. */
  augmentation_pipeline: sha256.nullable(),
  /** Vision: the columns that say what each position is, in stored order. */
  input_fields: inputFields.optional(),
  /** None: hard labels alone. */
  target_sets: z.array(targetSet),
  responses: responses.optional(),
  inputs: z.strictObject({
    origin: z.string(),
    licence: z.string(),
    digest: sha256,
    /** Where a model gave the geometry. */
    model_input: modelInput.optional(),
  }),
  files: z.array(file).min(1),
  /** Different images that are stored, and their bytes; feature `images`. Not in `totals`. */
  images: imagesStored.optional(),
  totals: z.strictObject({
    samples: count,
    positions: count,
    /** Positions whose mask is true. */
    learned: count,
    bytes: count,
  }),
  /** SHA-256 over the sample ids in order. */
  content_id: sha256,
  /** Snapshot that this one adds to, for overlays and appended data. */
  parent: sha256.nullable(),
  /** Hex sample ids that are deleted: listed, skipped, their bytes freed at the next compaction. */
  tombstones: z.array(z.string().regex(/^[0-9a-f]{32}$/)),
});

/**
 * `manifest.safeParse`, but files without overrides are looked at here: of 20,000 the library makes
 * most of the time to a cold server's first batch.
 */
export function checkManifest(document: unknown): ReturnType<typeof manifest.safeParse> {
  const files: unknown = Object(document).files;
  if (!Array.isArray(files) || !files.every(isPlainFile)) return manifest.safeParse(document);
  const parsed = manifest.safeParse({ ...Object(document), files: files.slice(0, 1) });
  return parsed.success ? { ...parsed, data: { ...parsed.data, files } } : parsed;
}

export function isPlainFile(value: unknown): value is ManifestFile {
  if (typeof value !== 'object' || value === null || Object.keys(value).length !== 6) return false;
  const { role, name, bytes, sha256, samples, positions } = value as Partial<ManifestFile>;
  if (!fileRole.options.includes(role as ManifestFile['role']) || !isName(name)) return false;
  if (typeof sha256 !== 'string' || !sha256Pattern.test(sha256)) return false;
  return isCount(bytes) && isCount(samples) && isCount(positions);
}

const isCount = (number: unknown) => Number.isSafeInteger(number) && (number as number) >= 0;

export type Manifest = z.infer<typeof manifest>;
export type ManifestFile = z.infer<typeof file>;
export type TargetSet = z.infer<typeof targetSet>;
export type InputField = z.infer<typeof inputField>;
export type LabelSpace = z.infer<typeof labelSpace>;
export type Responses = z.infer<typeof responses>;
export type Usage = z.infer<typeof usage>;
export type Fidelity = z.infer<typeof fidelity>;
export type AlignmentCheck = z.infer<typeof alignmentCheck>;
