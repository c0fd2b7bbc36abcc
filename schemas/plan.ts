/** Plans: the request, the stored document and the reply. */
import { z } from 'zod';
import { count, name, sha256, uint64 } from './common.ts';

export const shuffle = z.discriminatedUnion('mode', [
  z.strictObject({ mode: z.literal('none') }),
  z.strictObject({ mode: z.literal('global') }),
  z.strictObject({ mode: z.literal('block'), block: z.int().positive() }),
]);

/** How much of a stream an epoch takes: integer weight, whole passes, or a number of samples. */
const share = {
  proportion: z.int().positive().optional(),
  repeat: z.int().positive().optional(),
  choose: z.int().positive().optional(),
};

export const planRequest = z.strictObject({
  streams: z
    .array(
      z.strictObject({
        dataset: name,
        /** Snapshot id, or a tag, which is resolved when the plan is made. */
        snapshot: z.string().max(128).default('latest'),
        ...share,
      }),
    )
    .min(1)
    .max(256),
  seed: uint64.default('0'),
  shuffle: shuffle.default({ mode: 'global' }),
  global_batch: z.int().min(1).max(1_048_576).default(8),
  epoch_size: count.nullable().default(null),
  stop: z.enum(['first', 'all']).default('all'),
  tail: z.enum(['short', 'pad', 'drop']).default('short'),
  packing: sha256.nullable().default(null),
  filter: sha256.nullable().default(null),
});

/** The document that decides the order; the plan's id is the SHA-256 of its canonical JSON. */
export const planIdentity = z.strictObject({
  algorithm: z.string(),
  streams: z.array(z.strictObject({ content_id: sha256, ...share })),
  seed: uint64,
  shuffle,
  global_batch: z.int().positive(),
  epoch_size: count.nullable(),
  stop: z.enum(['first', 'all']),
  packing: sha256.nullable(),
  tail: z.enum(['short', 'pad', 'drop']),
  filter: sha256.nullable(),
});

/** `plans/{id}.json` in the store: the identity and where its streams are found. */
export const storedPlan = z.strictObject({
  identity: planIdentity,
  streams: z.array(z.strictObject({ dataset: name, snapshot: sha256, samples: count })),
});

export const planReply = z.strictObject({
  plan: sha256,
  identity: planIdentity,
  streams: z.array(
    z.strictObject({
      dataset: name,
      snapshot: sha256,
      samples: count,
      /** Samples an epoch draws from this stream, and how many it leaves unseen. */
      drawn: count,
      unseen: count,
    }),
  ),
  steps_per_epoch: count,
  samples_per_epoch: count,
});

export type PlanRequest = z.infer<typeof planRequest>;
export type PlanIdentity = z.infer<typeof planIdentity>;
export type StoredPlan = z.infer<typeof storedPlan>;
export type PlanReply = z.infer<typeof planReply>;
