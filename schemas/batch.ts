/**
 * One step: the query that asks for it and the metadata in the schema of the Arrow stream it
 * returns.
 */
import { z } from 'zod';
import { sha256, targetKind, targetSetName } from './common.ts';
import { labelSpace } from './manifest.ts';

const digits = z.string().regex(/^[0-9]+$/);

export const layoutName = z.enum(['frames', 'plain', 'dense']);

export const batchRequest = z.strictObject({
  rank: z.coerce.number().int().min(0).max(1_048_575).default(0),
  world: z.coerce.number().int().min(1).max(1_048_576).default(1),
  /** Ranks that get the same batch, for tensor parallelism: it is that of rank / R of world / R. */
  replicate: z.coerce.number().int().min(1).max(1_048_576).default(1),
  layout: layoutName.default('frames'),
  /** A snapshot with the plan's content, where the plan was made for another one (other codec). */
  snapshot: sha256.optional(),
  /** Target set; all of the snapshot's by default, the first one for `dense`. */
  target_set: targetSetName.optional(),
  /** dense: entries a position, the sparsifier's K by default. */
  k: z.coerce.number().int().min(1).max(65_535).optional(),
  /** dense: positions a sample; the longest sample of the batch by default. */
  pad_to: z.coerce.number().int().min(1).max(1_048_576).optional(),
  /** dense: width of log-probs. */
  dtype: z.enum(['float16', 'float32']).default('float16'),
  temperature: z.coerce.number().positive().max(1000).default(1),
  /** dense: ids of the student's vocabulary; entries from there on are left out, and accounted. */
  vocab_size: z.coerce.number().int().min(1).max(0xffffffff).optional(),
});

/**
 * Schema metadata of every batch (all values are strings). A truncated Arrow stream parses as a
 * complete one, so a reader must compare what it got with `logitcask.rows` and `logitcask.batches`.
 */
export const batchMetadata = z.strictObject({
  'logitcask.version': z.literal('1'),
  'logitcask.rows': digits,
  'logitcask.batches': digits,
  'logitcask.layout': layoutName,
  /** Of each stream, joined by commas; none of scored sequences, which a snapshot may get later. */
  'logitcask.snapshot': z
    .string()
    .regex(/^[0-9a-f]{64}(,[0-9a-f]{64})*$/)
    .optional(),
  /** Of text. */
  'logitcask.alignment': z.literal('predicts-next').optional(),
  /** Of images; then also the input fields, as JSON, and what their augmentations were drawn by. */
  'logitcask.kind': z.literal('vision').optional(),
  'logitcask.input_fields': z.string().optional(),
  'logitcask.augmentation_pipeline': sha256.optional(),
  'logitcask.label_space': z.string(),
  'logitcask.plan': sha256.optional(),
  'logitcask.epoch': digits.optional(),
  /** Of a step; a stream has the steps [from, to), one record batch each. */
  'logitcask.step': digits.optional(),
  'logitcask.from': digits.optional(),
  'logitcask.to': digits.optional(),
  'logitcask.rank': digits.optional(),
  'logitcask.world': digits.optional(),
  'logitcask.replicate': digits.optional(),
  /** Plans of packs: positions of a pack. */
  'logitcask.pack_length': digits.optional(),
  /** The student's vocabulary; in a step also what it left out of the batch. */
  'logitcask.vocab_size': digits.optional(),
  'logitcask.dropped_entries': digits.optional(),
  /** Mean over the positions. */
  'logitcask.dropped_mass': z.string().optional(),
  /** JSON of the target sets sent, each as `batchTargetSet` below. */
  'logitcask.target_sets': z.string(),
});

export const batchTargetSet = z.strictObject({
  name: targetSetName,
  kind: targetKind,
  codec: z.string(),
  temperature: z.number(),
  temperature_exact: z.boolean(),
  log_z: z.array(z.number()),
  /** float32 values that levels are read with; null where the set has none. */
  step: z.number().nullable(),
  tau: z.number().nullable(),
  /** Where it is another one than the snapshot's. */
  label_space: labelSpace.optional(),
});

export const batchTargetSets = z.array(batchTargetSet);

export type BatchRequest = z.infer<typeof batchRequest>;
export type BatchMetadata = z.infer<typeof batchMetadata>;
export type BatchTargetSet = z.infer<typeof batchTargetSet>;
export type LayoutName = z.infer<typeof layoutName>;
