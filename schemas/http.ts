/** Parameters and replies of the routes that are no documents of their own. */
import { z } from 'zod';
import { batchRequest, layoutName } from './batch.ts';
import { count, name, sha256, targetSetName } from './common.ts';

export const datasetParams = z.object({ dataset: name });
export const snapshotParams = datasetParams.extend({ snapshot: name });
export const fileParams = snapshotParams.extend({ name });
export const imageParams = snapshotParams.extend({ image: sha256 });
export const sampleParams = snapshotParams.extend({
  sample: z.string().regex(/^[0-9a-f]{32}$/, 'expected 32 lower-case hex digits'),
});
export const planParams = z.object({ plan: sha256 });
export const epochParams = planParams.extend({
  epoch: z.coerce
    .number()
    .int()
    .min(0)
    .max(2 ** 32 - 1),
});
const step = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
export const stepParams = epochParams.extend({ step });

/** Steps [from, to) of an epoch, all of them by default. */
export const streamQuery = batchRequest.extend({ from: step.default(0), to: step.optional() });

export const listQuery = z.object({
  cursor: z.string().max(128).optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
});

/** `tokens` and `text` of texts; `image` and `inputs` of images. */
export const rowColumn = z.enum(['tokens', 'image', 'mask', 'inputs', 'meta', 'targets', 'text']);

export const rowsQuery = z.object({
  offset: z.coerce.number().int().min(0).default(0),
  length: z.coerce.number().int().min(1).max(100).default(10),
  columns: z
    .string()
    .default('tokens,mask,meta,targets')
    .transform((text) => text.split(','))
    .pipe(z.array(rowColumn).min(1)),
  layout: layoutName.default('frames'),
});

/** Ids of tokens or classes, joined by commas; of a target set that has classes of its own too. */
export const tokensQuery = z.object({
  ids: z
    .string()
    .regex(/^\d{1,10}(,\d{1,10})*$/, 'expected ids joined by commas')
    .transform((text) => text.split(',').map(Number))
    .pipe(z.array(count).max(1000)),
  set: targetSetName.optional(),
});

/** Null where no tokenizer of the snapshot knows such a token, and where a class has no name. */
export const tokensReply = z.object({ texts: z.array(z.string().nullable()) });

export const datasetList = z.object({
  datasets: z.array(z.object({ name, tags: z.record(z.string(), sha256) })),
  next: z.string().nullable(),
});

export const datasetReply = z.object({
  name,
  tags: z.record(z.string(), sha256),
  snapshots: z.array(sha256),
  builds: z.array(
    z.object({
      build: z.string(),
      state: z.enum(['running', 'complete', 'failed']),
      snapshot: sha256.nullable(),
      samples: count,
      positions: count,
      positionsTotal: count.nullable(),
      shards: count,
      updatedMs: z.number(),
      error: z.string().nullable(),
    }),
  ),
});

/** Of an audit that has no report yet, and in answer to a request for one. */
export const auditAccepted = z.object({
  dataset: name,
  snapshot: sha256,
  state: z.enum(['waiting', 'running']),
});

/** RFC 9457. */
export const problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.string(),
  expected: z.unknown(),
  got: z.unknown(),
  retryable: z.boolean(),
  instance: z.string(),
});
export const problemJsonSchema = z.toJSONSchema(problem);

export const statusReply = z.object({ status: z.enum(['ok', 'stopping']) });
export const versionReply = z.object({
  name: z.literal('logitcask'),
  version: z.string(),
  format: z.int(),
});

export type RowsQuery = z.infer<typeof rowsQuery>;
export type RowColumn = z.infer<typeof rowColumn>;
