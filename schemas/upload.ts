/** Pushing from teacher workers: what an upload is of, what is there of it, and its commit. */
import { z } from 'zod';
import { count, headName, name, sha256, targetSetName } from './common.ts';
import { type InputField, inputFields, labelSpace } from './manifest.ts';

const augmentation = 'augmentation_';
const seedField = `${augmentation}seed`;
const ownFields: readonly InputField[] = [
  { name: 'hard_label', type: 'int32', items: 1 },
  { name: 'geometry', type: 'float32', items: 4 },
  { name: seedField, type: 'uint64', items: 1 },
];

/** How the workers chose the entries. */
export const uploadSparsifier = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('top-k'), k: z.int().min(1).max(65_535) }),
  z.strictObject({ type: z.literal('threshold'), tau: z.number().min(1e-4).max(1) }),
]);

const any = {
  /** Workers that give the same name share one upload; by default it gets one of its own. */
  upload: name.optional(),
  teacher: z.strictObject({
    name: z.string().min(1).max(256),
    /** Changes whenever the distributions may. */
    revision: z.string().max(256).default('unknown'),
  }),
  /** Tag that will point at the snapshot: the head that a commit adds to. */
  tag: name.default('latest'),
  licence: z.string().max(256).default('unknown'),
};

export const textUpload = z.strictObject({
  ...any,
  kind: z.literal('text').optional(),
  /** V */
  vocabulary: z.int().positive().max(0xffffffff),
  /** SHA-256 of tokenizer.json, null where unknown. */
  tokenizer: sha256.nullable(),
  target_set: targetSetName.default('teacher'),
  sparsifier: uploadSparsifier,
});

const uploadHead = z
  .strictObject({
    /** Of its target set. */
    name: headName,
    /** V */
    size: labelSpace.shape.size,
    /** Names of the classes. */
    classes: labelSpace.shape.names,
    normalisation: z.enum(['softmax', 'sigmoid']).default('softmax'),
  })
  .refine(({ classes, size }) => classes === undefined || classes.length === size, {
    error: 'expected as many names as classes',
  });

/** What `build` makes of the lines of images, in its order. */
const uploadFields = inputFields.refine(areFields, {
  error:
    'expected hard_label (int32), geometry (4 float32), augmentation_seed (uint64) and ' +
    'augmentation_{parameter}, in this order',
});

export const visionUpload = z
  .strictObject({
    ...any,
    kind: z.literal('vision'),
    /** A target set each; hard labels and sample ids are over the classes of the first one. */
    heads: z.array(uploadHead).min(1).max(64).refine(haveOwnNames, {
      error: 'expected distinct names',
    }),
    input_fields: uploadFields,
    /** SHA-256 of the description of the pipeline that the seeds are of. */
    augmentation_pipeline: sha256.nullable(),
    sparsifier: uploadSparsifier.options[0],
  })
  .refine(
    ({ input_fields: fields, augmentation_pipeline: pipeline }) => {
      const named = fields.some(({ name }) => name.startsWith(augmentation));
      const seeded = fields.some(({ name }) => name === seedField);
      return named === seeded && seeded === (pipeline !== null);
    },
    { error: 'expected seeds and the digest of their pipeline, or neither' },
  );

export const uploadRequest = z.discriminatedUnion('kind', [textUpload, visionUpload]);

function haveOwnNames(of: readonly { readonly name: string }[]): boolean {
  return new Set(of.map(({ name }) => name)).size === of.length;
}

function areFields(fields: readonly InputField[]): boolean {
  const ranks = fields.map(({ name, type, items }) => {
    const known = ownFields.findIndex((field) => field.name === name);
    if (known < 0) return items === 1 && /^augmentation_[a-z]/.test(name) ? ownFields.length : -1;
    return type === ownFields[known].type && items === ownFields[known].items ? known : -1;
  });
  return haveOwnNames(fields) && ranks.every((rank, i) => rank >= (ranks[i - 1] ?? 0));
}

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

export type TextUpload = z.infer<typeof textUpload>;
export type VisionUpload = z.infer<typeof visionUpload>;
export type UploadRequest = z.infer<typeof uploadRequest>;
export type UploadShard = z.infer<typeof uploadShard>;
export type UploadReply = z.infer<typeof uploadReply>;
export type CommitReply = z.infer<typeof commitReply>;
