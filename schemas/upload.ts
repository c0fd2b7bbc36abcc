/** Pushing from teacher workers: what an upload is of, what is there of it, and its commit. */
import { z } from 'zod';
import { count, name, sha256, targetSetName } from './common.ts';

/** How the workers chose the entries. */
export const uploadSparsifier = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('top-k'), k: z.int().min(1).max(65_535) }),
  z.strictObject({ type: z.literal('threshold'), tau: z.number().min(1e-4).max(1) }),
]);

export const uploadRequest = z.strictObject({
  /** Workers that give the same name share one upload; by default it gets one of its own. */
  upload: name.optional(),
  teacher: z.strictObject({
    name: z.string().min(1).max(256),
    /** Changes whenever the distributions may. */
    revision: z.string().max(256).default('unknown'),
  }),
  /** V */
  vocabulary: z.int().positive().max(0xffffffff),
  /** SHA-256 of tokenizer.json, null where unknown. */
  tokenizer: sha256.nullable(),
  target_set: targetSetName.default('teacher'),
  /** Tag that will point at the snapshot: the head that a commit adds to. */
  tag: name.default('latest'),
  sparsifier: uploadSparsifier,
  licence: z.string().max(256).default('unknown'),
});

export const uploadParams = z.object({ dataset: name, upload: name });
export const uploadShardParams = uploadParams.extend({
  shard: z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
});

export const uploadShard = z.object({
  shard: count,
  sha256,
  bytes: count,
  samples: count,
  positions: count,
});

export const commitRequest = z
  .strictObject({
    /** Shards that must be there, where the client knows. */
    shards: count.optional(),
  })
  .nullish();

export const commitReply = z.object({
  snapshot: sha256,
  parent: sha256.nullable(),
  /** Samples that the snapshot has more than its parent. */
  samples: count,
  /** Samples left out: they came twice, or the parent has them. */
  duplicates: count,
});

export const uploadReply = z.object({
  upload: name,
  dataset: name,
  /** Time without a PUT after which an open upload is removed. */
  lease_ms: count,
  request: uploadRequest,
  shards: z.array(uploadShard),
  /** Null while it is open. */
  commit: commitReply.nullable(),
});

export type UploadRequest = z.infer<typeof uploadRequest>;
export type UploadShard = z.infer<typeof uploadShard>;
export type UploadReply = z.infer<typeof uploadReply>;
export type CommitReply = z.infer<typeof commitReply>;
