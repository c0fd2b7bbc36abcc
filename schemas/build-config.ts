/** What `logitcask build` reads: one YAML or JSON document; flags override it. */
import { z } from 'zod';
import {
  containerName,
  headMisfit,
  headName,
  isHeadName,
  name,
  targetSetName,
  temperature,
} from './common.ts';
import { preprocess } from './preprocess.ts';
import { scoringServer } from './teacher-server.ts';

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
  /** `.npy` or safetensors of logits [N, V], or `.npz` with ids, logprobs, tail, tokens, V. */
  logits: z.string().describe('.npy, .safetensors of logits [N, V], or .npz of top lists'),
  /** `.npy` [N] of the input ids; in the file itself where that holds `tokens`. */
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

/** A model in this process: whole distributions. */
export const onnxSource = z.strictObject({
  type: z.literal('onnx'),
  /** A causal language model; weights beside it have names that begin with its own. */
  model: z.string().describe('model.onnx'),
  /** JSON lines or Parquet of `tokens`, `text`, or `prompt` and `completion`; or plain text. */
  texts: z.array(z.string()).min(1).describe('files of texts to score'),
  /** tokenizer.json of the model. */
  tokenizer: z.string(),
  /** Cores that run the model; all by default. Decides no byte. */
  threads: z.int().min(1).max(256).optional(),
  /** Most tokens of a sample: at most the model's context. */
  sample_length: z.int().min(2).max(1_048_576).default(512),
  /** Most samples to score; all by default. */
  samples: z.int().positive().optional(),
  /** Name in the manifest; by default that of the file. */
  teacher: z.string().optional(),
  licence: z.string().default('unknown'),
});

/** A teacher behind a server, that scores given texts. */
const server = {
  ...scoringServer,
  /** JSON lines or Parquet of `tokens`, `text`, or `prompt` and `completion`; or plain text. */
  texts: z.array(z.string()).describe('files of texts to score'),
  sample_length: z.int().min(2).max(1_048_576).default(512),
  /** Most samples to score; all by default. */
  samples: z.int().positive().optional(),
  licence: z.string().default('unknown'),
};
export const vllmSource = z.strictObject({ type: z.literal('vllm'), ...server });
export const sglangSource = z.strictObject({ type: z.literal('sglang'), ...server });
export const llamaCppPythonSource = z.strictObject({
  type: z.literal('llama-cpp-python'),
  ...server,
});

/** How a head of a teacher of images gives its scores. */
const scores = {
  /** With a model, the name of its output. */
  scores: z.string().describe('.npy of scores [N, V], or FILE.npz:MEMBER; or an output of `model`'),
  normalisation: z.enum(['softmax', 'sigmoid']).default('softmax').describe('how scores add up'),
  values: z.enum(['logits', 'probabilities']).default('logits').describe('what the scores are'),
  /** Names of the classes, in order. */
  classes: z.array(z.string()).optional(),
};

/** Scores of images, from files or a model: classes of crops, or heads of a detector. */
export const visionSource = z
  .strictObject({
    type: z.literal('vision'),
    images: z.string().describe('JSON lines of images and their positions (docs/vision.md)'),
    /** Copies the images, which lie at `file:` addresses, into the store. */
    store_images: z.boolean().default(false).describe('copy the images into the store'),
    /** Run in this process on the images themselves; without it the scores are files. */
    model: z.string().optional().describe('model.onnx, a classifier or a detector'),
    preprocess: preprocess.optional(),
    /** Output [1, A, 4] of the model; by default the list of images has geometry, or none does. */
    geometry: z.string().optional().describe('output of `model` with a box or anchor a position'),
    ...scores,
    /** Further heads, each a target set. */
    heads: z
      .array(
        z.strictObject({
          name: headName,
          ...scores,
          /** Scores [N, parts, V]: a target set for each part, e.g. the sides of a box. */
          parts: z.array(headName).min(1).max(64).optional(),
        }),
      )
      .max(64)
      .default([]),
    /** JSON with `parameters`, names and types of what an augmentation is replayed by. */
    pipeline: z.string().optional().describe('description of the augmentation pipeline'),
    teacher: z.string().default('vision'),
    licence: z.string().default('unknown'),
  })
  .refine((own) => own.model !== undefined || (own.preprocess ?? own.geometry) === undefined, {
    error: 'expected `preprocess` and `geometry` with `model` alone',
  });

export const sparsifier = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('top-k'), k: z.int().min(1).max(65_535).default(64) }),
  z
    .strictObject({
      type: z.literal('top-p'),
      /** Mass to keep. */
      p: z.number().positive().max(1).default(0.98),
      /** Fewest and most entries of a position. */
      floor: z.int().min(1).max(65_535).default(1),
      cap: z.int().min(1).max(65_535).default(64),
    })
    .refine(({ floor, cap }) => floor <= cap, { error: 'expected `floor` of at most `cap`' }),
  z.strictObject({
    type: z.literal('threshold'),
    /** The least probability kept for sure, and the weight of what is drawn below it; or 0.02. */
    tau: z.number().min(1e-4).max(1).optional(),
  }),
]);

export const source = z.discriminatedUnion('type', [
  ngramSource,
  dumpSource,
  listsSource,
  onnxSource,
  vllmSource,
  sglangSource,
  llamaCppPythonSource,
  visionSource,
]);

/**
 * Step on √p: `fine` (KL ≤ 1e-4 at K=64), `standard` (≤ 1e-3), or a number. Default: `fine` for
 * scaled targets, `standard` for unbiased ones, whose variance hides the difference, and for
 * vision. There they are √(6e-4 / K) and √(6e-3 / K), K the most entries of a position.
 */
const step = z.union([z.enum(['fine', 'standard']), z.number().min(2e-5).max(0.5)]).optional();

const settings = z.strictObject({
  /** Folder of the store. */
  store: z.string().default('logitcask-data').describe('folder of the store'),
  dataset: name.default('default').describe('name of the data set'),
  tag: name.default('latest').describe('tag that will point at the snapshot'),
  target_set: targetSetName.default('teacher'),
  source: source.default({ type: 'ngram', held_out: 10, sample_length: 512 }),
  /**
   * Default: `threshold` for sources of whole distributions; top-k 64 for top lists and vision,
   * and where a KL budget or temperatures are given, which only scaled targets have.
   */
  sparsifier: sparsifier.optional(),
  codec: z
    .discriminatedUnion('type', [
      z.strictObject({
        type: z.literal('planes'),
        step,
        compression: z.enum(['zstd', 'lz4']).default('zstd'),
      }),
      z.strictObject({ type: z.literal('plain'), step }),
      z.strictObject({ type: z.literal('raw') }),
    ])
    .default({ type: 'planes', compression: 'zstd' }),
  /** Container of the shards; Parquet takes codec `plain` or `raw`. */
  format: containerName.default('arrow'),
  /** What the step, or for `threshold` τ, is solved for on the first samples; one of the two. */
  budget: z
    .strictObject({
      max_kl: z.number().positive().max(1).optional().describe('mean KL in nats'),
      bytes_per_position: z.number().positive().optional().describe('bytes of targets a position'),
    })
    .refine((budget) => budget.max_kl === undefined || budget.bytes_per_position === undefined, {
      error: 'expected `max_kl` or `bytes_per_position`, not both',
    })
    .default({}),
  /** Threads that digest a dump and reduce whole rows; all cores by default. Decides no byte. */
  workers: z.int().min(1).max(256).optional(),
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

/** For verbs that store what a source of their own gives. */
export const buildSettingsShape = settings.shape;

export const codecFitsFormat = ({
  format,
  codec,
}: Pick<z.infer<typeof settings>, 'format' | 'codec'>) =>
  format === 'arrow' || codec.type !== 'planes';
export const codecMisfit = {
  error: 'expected `plain` or `raw`: other programs cannot read frames in Parquet',
  path: ['codec', 'type'],
};

export const buildConfig = settings
  .refine(codecFitsFormat, codecMisfit)
  .refine((own) => own.source.type !== 'vision' || isHeadName(own.target_set), {
    ...headMisfit,
    path: ['target_set'],
  });

export type BuildConfig = z.infer<typeof buildConfig>;
/** What decides how a source's rows are stored, whatever the source is. */
export type BuildSettings = Omit<BuildConfig, 'source'> & Partial<Pick<BuildConfig, 'source'>>;
export type SparsifierConfig = z.infer<typeof sparsifier>;
export type NgramSourceConfig = z.infer<typeof ngramSource>;
export type DumpSourceConfig = z.infer<typeof dumpSource>;
export type ServerSourceConfig =
  | z.infer<typeof vllmSource>
  | z.infer<typeof sglangSource>
  | z.infer<typeof llamaCppPythonSource>;
export type OnnxSourceConfig = z.infer<typeof onnxSource>;
export type VisionSourceConfig = z.infer<typeof visionSource>;
export type ListsSourceConfig = z.infer<typeof listsSource>;
