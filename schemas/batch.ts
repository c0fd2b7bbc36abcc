/**
 * One step: the query that asks for it and the metadata in the schema of the Arrow stream it
 * returns.
 */
import { z } from 'zod';
import { sha256, targetSetName } from './common.ts';

export const layoutName = z.enum(['frames', 'plain', 'dense']);

export const batchRequest = z.strictObject({
  rank: z.coerce.number().int().min(0).max(1_048_575).default(0),
  world: z.coerce.number().int().min(1).max(1_048_576).default(1),
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
});

/**
 * Schema metadata of every batch (all values are strings). A truncated Arrow stream parses as a
 * complete one, so a reader must compare what it got with `logitcask.rows` and `logitcask.batches`.
 */
export const batchMetadata = z.strictObject({
  'logitcask.version': z.literal('1'),
  'logitcask.rows': z.string().regex(/^[0-9]+$/),
  'logitcask.batches': z.string().regex(/^[0-9]+$/),
  'logitcask.layout': layoutName,
  'logitcask.snapshot': sha256,
  'logitcask.alignment': z.literal('predicts-next'),
  'logitcask.label_space': z.string(),
  'logitcask.plan': sha256.optional(),
  'logitcask.epoch': z
    .string()
    .regex(/^[0-9]+$/)
    .optional(),
  'logitcask.step': z
    .string()
    .regex(/^[0-9]+$/)
    .optional(),
  'logitcask.rank': z
    .string()
    .regex(/^[0-9]+$/)
    .optional(),
  'logitcask.world': z
    .string()
    .regex(/^[0-9]+$/)
    .optional(),
  /** JSON of the target sets sent, each as `batchTargetSet` below. */
  'logitcask.target_sets': z.string(),
});

export const batchTargetSet = z.strictObject({
  name: targetSetName,
  kind: z.enum(['scaled', 'unbiased']),
  codec: z.string(),
  temperature: z.number(),
  temperature_exact: z.boolean(),
  log_z: z.array(z.number()),
  /** float32 values that levels are read with; null where the set has none. */
  step: z.number().nullable(),
  tau: z.number().nullable(),
});

export type BatchRequest = z.infer<typeof batchRequest>;
export type BatchMetadata = z.infer<typeof batchMetadata>;
export type BatchTargetSet = z.infer<typeof batchTargetSet>;
export type LayoutName = z.infer<typeof layoutName>;
