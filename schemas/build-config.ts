/** What `logitcask build` reads: one YAML or JSON document; flags override it. */
import { z } from 'zod';
import { name, targetSetName, temperature } from './common.ts';

export const ngramSource = z.strictObject({
  type: z.literal('ngram'),
  /** Plain text (may be gzipped), one document a block, blank lines between; default: the KJV. */
  text: z.string().optional().describe('text file, documents separated by blank lines'),
  tokenizer: z.string().optional().describe('tokenizer.json'),
  /** Every held_out-th document is distilled, all others teach. */
  held_out: z.int().min(2).default(10),
  /** Most samples to score; all by default. */
  samples: z.int().positive().optional(),
  sample_length: z.int().min(2).max(1_048_576).default(512),
});

export const dumpSource = z.strictObject({
  type: z.literal('dump'),
  /** `.npy` of logits [N, V] float32 or float16, or `.npz` with ids, logprobs, tail, tokens, V. */
  logits: z.string().describe('.npy of logits [N, V] (float32, float16) or .npz of top lists'),
  /** `.npy` [N] of the input ids; in the `.npz` where it holds `tokens`. */
  tokens: z.string().optional(),
  /** `.npy` [N] of the true next ids. */
  next: z.string().optional(),
  /** tokenizer.json of the teacher. */
  tokenizer: z.string().optional(),
  teacher: z.string().default('dump'),
  licence: z.string().default('unknown'),
  /** Rows of a sample: the dump is cut into samples of this many consecutive rows. */
  sample_length: z.int().min(2).max(1_048_576).default(512),
});

export const listsSource = z.strictObject({
  type: z.literal('lists'),
  /** Files of top lists, JSON lines (may be gzipped) or Parquet, of one layout. */
  lists: z.array(z.string()).min(1).describe('files of top lists, JSON lines or Parquet'),
  layout: z
    .enum(['auto', 'samples', 'positions', 'distillkit', 'axolotl', 'nemo-aligner'])
    .default('auto')
    .describe('keys of the files; auto tells it by them'),
  /** `logits`: list t is the distribution of token t + 1; `tokens`: of token t. */
  aligned: z.enum(['logits', 'tokens']).default('logits'),
  /** V; by default that of the tokenizer. */
  vocabulary: z.int().positive().max(0xffffffff).optional(),
  /** tokenizer.json of the teacher. */
  tokenizer: z.string().optional(),
  teacher: z.string().default('lists'),
  licence: z.string().default('unknown'),
});

export const source = z.discriminatedUnion('type', [ngramSource, dumpSource, listsSource]);

export const buildConfig = z.strictObject({
  /** Folder of the store. */
  store: z.string().default('logitcask-data').describe('folder of the store'),
  dataset: name.default('default').describe('name of the data set'),
  tag: name.default('latest').describe('tag that will point at the snapshot'),
  target_set: targetSetName.default('teacher'),
  source: source.default({ type: 'ngram', held_out: 10, sample_length: 512 }),
  sparsifier: z
    .strictObject({ type: z.literal('top-k'), k: z.int().min(1).max(65_535).default(64) })
    .default({ type: 'top-k', k: 64 }),
  codec: z
    .discriminatedUnion('type', [
      z
        .strictObject({
          type: z.literal('planes'),
          /** Step on √p: `fine` (KL ≤ 1e-4 at K=64), `standard` (≤ 1e-3), or a number. */
          step: z.union([z.enum(['fine', 'standard']), z.number().min(2e-5).max(0.5)]).optional(),
          /** Mean KL in nats that the step is solved for; excludes `step`. */
          max_kl: z.number().positive().max(1).optional(),
          compression: z.enum(['zstd', 'lz4']).default('zstd'),
        })
        .refine(({ step, max_kl }) => step === undefined || max_kl === undefined, {
          error: 'expected `step` or `max_kl`, not both',
        }),
      z.strictObject({ type: z.literal('raw') }),
    ])
    .default({ type: 'planes', compression: 'zstd' }),
  /** Extra temperatures for which log Z_T is stored. */
  temperatures: z.array(temperature).max(16).default([]),
  shard: z
    .strictObject({
      /** A shard ends with the sample that takes its columns to this size, bytes. */
      bytes_max: z
        .int()
        .min(65_536)
        .max(2 ** 31)
        .default(64 * 1024 * 1024),
      batch_bytes_max: z
        .int()
        .min(4096)
        .max(64 * 1024 * 1024)
        .default(4 * 1024 * 1024),
    })
    .default({ bytes_max: 64 * 1024 * 1024, batch_bytes_max: 4 * 1024 * 1024 }),
  reference: z
    .strictObject({
      /** Positions whose exact list is kept, so that fidelity can be audited later. */
      positions: z.int().min(0).max(65_536).default(4096),
      entries: z.int().min(1).max(4096).default(1024),
      seed: z.int().min(0).max(0xffffffff).default(0),
    })
    .refine(({ positions, entries }) => positions * entries <= 2 ** 24, {
      error: 'expected positions × entries of at most 16,777,216',
    })
    .default({ positions: 4096, entries: 1024, seed: 0 }),
});

export type BuildConfig = z.infer<typeof buildConfig>;
export type NgramSourceConfig = z.infer<typeof ngramSource>;
export type DumpSourceConfig = z.infer<typeof dumpSource>;
export type ListsSourceConfig = z.infer<typeof listsSource>;
