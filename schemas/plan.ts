/** Plans: the request, the stored document and the reply. */
import { z } from 'zod';
import { count, name, sha256, uint64 } from './common.ts';

export const shuffle = z.discriminatedUnion('mode', [
  z.strictObject({ mode: z.literal('none') }),
  z.strictObject({ mode: z.literal('global') }),
  /** Blocks of so many neighbours, shuffled, and then what lies in groups of 16 of them. */
  z.strictObject({
    mode: z.literal('block'),
    block: z
      .int()
      .positive()
      .max(2 ** 31),
  }),
]);

/** How much of a stream an epoch takes: integer weight, whole passes, or a number of items. */
const share = {
  proportion: z
    .int()
    .positive()
    .max(2 ** 31)
    .optional(),
  repeat: z
    .int()
    .positive()
    .max(2 ** 31)
    .optional(),
  choose: z.int().positive().optional(),
};

const range = z
  .strictObject({ min: count.optional(), max: count.optional() })
  .refine(({ min = 0, max = Number.MAX_SAFE_INTEGER }) => min <= max, 'min is above max');

/** Which samples a plan takes; a sample is kept where every given rule holds. */
export const planFilter = z.strictObject({
  /** Positions of the sample. */
  positions: range.optional(),
  /** Positions whose mask is true. */
  learned: range.optional(),
  /** A member of the sample's meta, such as its source, is one of these. */
  meta: z
    .strictObject({
      field: z.string().min(1).max(256),
      in: z
        .array(z.union([z.string().max(4096), z.int()]))
        .min(1)
        .max(4096),
    })
    .optional(),
});

/** Short samples are packed into rows of `length` positions, longer ones split. */
export const planPacking = z.strictObject({
  length: z.int().min(1).max(1_048_576),
  /** Packs that are open at a time: more fill better and take more time. */
  window: z.int().min(1).max(65_536).default(1024),
});

export const planRequest = z.strictObject({
  streams: z
    .array(
      z
        .strictObject({
          dataset: name,
          /** Snapshot id, or a tag, which is resolved when the plan is made. */
          snapshot: z.string().max(128).default('latest'),
          ...share,
        })
        .refine(
          ({ proportion, repeat, choose }) =>
            [proportion, repeat, choose].filter((one) => one !== undefined).length <= 1,
          'at most one of proportion, repeat and choose',
        ),
    )
    .min(1)
    .max(256)
    .refine((streams) => new Set(streams.map((s) => s.proportion === undefined)).size === 1, {
      message: 'either all streams have a proportion, or none',
    }),
  seed: uint64.default('0'),
  shuffle: shuffle.default({ mode: 'global' }),
  global_batch: z.int().min(1).max(1_048_576).default(8),
  epoch_size: count.nullable().default(null),
  stop: z.enum(['first', 'all']).default('all'),
  tail: z.enum(['short', 'pad', 'drop']).default('short'),
  packing: planPacking.nullable().default(null),
  filter: planFilter.nullable().default(null),
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
  /** Digest over the length of a pack and the digests of the streams' packs. */
  packing: sha256.nullable(),
  tail: z.enum(['short', 'pad', 'drop']),
  /** Digest over the digests of the streams' bitmaps. */
  filter: sha256.nullable(),
});

/** A file that a plan reads: its name is the digest of what it was computed from. */
const planFile = { name: sha256, sha256 };

const storedStream = z.strictObject({
  dataset: name,
  snapshot: sha256,
  samples: count,
  /** Samples that the filter keeps. */
  filter: z.strictObject({ ...planFile, kept: count }).nullable(),
  packing: z.strictObject({ ...planFile, packs: count, positions: count }).nullable(),
});

/** `plans/{id}.json` in the store: the identity, its rules and where its streams are found. */
export const storedPlan = z.strictObject({
  identity: planIdentity,
  rules: z.strictObject({ packing: planPacking.nullable(), filter: planFilter.nullable() }),
  streams: z.array(storedStream),
  /** Milliseconds since the epoch when it was written; absent in plans of earlier versions. */
  created_ms: count.optional(),
});

export const planReply = z.strictObject({
  plan: sha256,
  identity: planIdentity,
  rules: z.strictObject({ packing: planPacking.nullable(), filter: planFilter.nullable() }),
  streams: z.array(
    storedStream.extend({
      /** Rows of the plan that the stream has: samples, those that a filter keeps, or packs. */
      items: count,
      /** Items an epoch draws, several passes included, and how many it leaves unseen. */
      drawn: count,
      unseen: count,
    }),
  ),
  steps_per_epoch: count,
  /** Samples, or packs, of an epoch. */
  items_per_epoch: count,
  /** Share of the positions of all packs that hold one of a sample. */
  packing_efficiency: z.number().min(0).max(1).nullable(),
});

/** Plans of a store, by id; a page of them. */
export const planList = z.strictObject({
  plans: z.array(
    z.strictObject({
      plan: sha256,
      streams: z.array(z.strictObject({ dataset: name, snapshot: sha256, samples: count })),
      global_batch: z.int().positive(),
      seed: uint64,
      shuffle,
      steps_per_epoch: count,
      items_per_epoch: count,
      /** Milliseconds since the epoch; absent where an earlier version made the plan. */
      created_ms: count.optional(),
    }),
  ),
  next: z.string().nullable(),
});

/** Which rows a digest of the order covers. */
export const orderDigestQuery = z.object({
  from: z.coerce.number().int().min(0).default(0),
  /** The epoch's end by default. */
  to: z.coerce.number().int().min(0).optional(),
  rank: z.coerce.number().int().min(0).max(1_048_575).default(0),
  world: z.coerce.number().int().min(1).max(1_048_576).default(1),
  replicate: z.coerce.number().int().min(1).max(1_048_576).default(1),
});

/** SHA-256 over the rows' sample ids, in order; docs/plan.md. */
export const orderDigest = z.strictObject({
  plan: sha256,
  epoch: count,
  from: count,
  to: count,
  rows: count,
  digest: sha256,
});

export type Shuffle = z.infer<typeof shuffle>;
export type PlanFilter = z.infer<typeof planFilter>;
export type PlanPacking = z.infer<typeof planPacking>;
export type PlanRequest = z.infer<typeof planRequest>;
export type PlanIdentity = z.infer<typeof planIdentity>;
export type StoredPlan = z.infer<typeof storedPlan>;
export type PlanReply = z.infer<typeof planReply>;
export type PlanList = z.infer<typeof planList>;
export type OrderDigestQuery = z.infer<typeof orderDigestQuery>;
export type OrderDigest = z.infer<typeof orderDigest>;
