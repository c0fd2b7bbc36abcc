/** Configuration of `logitcask label`: prompts, the teacher that answers, and what is kept. */
import { z } from 'zod';
import { buildSettingsShape, codecFitsFormat, codecMisfit } from './build-config.ts';
import { name } from './common.ts';
import { generatorServer } from './teacher-server.ts';

const { store, tag, target_set, codec, format, shard } = buildSettingsShape;

/** With `-validation` behind it, it is still a name. */
const datasetLengthMax = 116;

const sampling = z
  .strictObject({
    /** 0 is greedy. */
    temperature: z.number().min(0).max(10).default(1),
    top_p: z.number().gt(0).max(1).default(1),
    /** Most tokens of a response. */
    max_tokens: z.int().min(1).max(1_048_576).default(512),
    stop: z.array(z.string().min(1)).max(16).default([]),
    /** Seeds of the requests are made of it, the prompt, and the number of the response. */
    seed: z.int().min(0).max(0xffffffff).default(0),
  })
  .prefault({});

const filter = z
  .strictObject({
    tokens_min: z.int().min(0).default(1),
    tokens_max: z.int().min(1).optional(),
    characters_min: z.int().min(0).default(1),
    characters_max: z.int().min(1).optional(),
    /** Prompts that the server refuses for what they are (too long, say): the run stops, or not. */
    refused: z.enum(['stop', 'drop']).default('stop'),
    /** Responses that `max_tokens` cut off. */
    truncated: z.enum(['keep', 'drop']).default('keep'),
    /** Most of the n-grams of words that may be repetitions. */
    repetition_max: z.number().min(0).max(1).default(1),
    repetition_words: z.int().min(1).max(64).default(4),
    /** Regular expressions, `/…/i` with flags: all must match, none may. */
    keep: z.array(z.string().max(4096)).max(64).default([]),
    drop: z.array(z.string().max(4096)).max(64).default([]),
    /** Equal but for white space and case. */
    duplicate_prompts: z.enum(['keep', 'drop']).default('drop'),
    /** Which responses must differ: those to one prompt, all, or none. */
    duplicates: z.enum(['keep', 'within-prompt', 'all']).default('within-prompt'),
  })
  .prefault({});

const settings = z.strictObject({
  store,
  /** Snapshots go into the data sets `<dataset>-train` and `<dataset>-validation`. */
  dataset: name.max(datasetLengthMax).default('default'),
  tag,
  target_set,
  source: generatorServer.prefault({ type: 'vllm', url: 'http://127.0.0.1:8000' }),
  /** Files: JSON lines, Parquet or plain text, a document a prompt. */
  prompts: z.array(z.string()).default([]),
  /** `chat`: prompts are messages; `text`: texts to go on with, for base models. */
  mode: z.enum(['chat', 'text']).default('chat'),
  /** The user's message, with fields of the record: `Translate to German: {text}`. */
  template: z.string().optional(),
  /** System message, for prompts that have none. */
  system: z.string().optional(),
  sampling,
  /** Of each prompt. */
  responses: z.int().min(1).max(4096).default(1),
  /** Entries of the lists to ask for; 0: no soft targets. */
  top_k: z.int().min(0).max(4096).default(20),
  filter,
  /** Share of the prompts whose responses go to the validation side. */
  validation: z.number().min(0).max(0.99).default(0.05),
  /** Of a million tokens. */
  price: z
    .strictObject({
      prompt: z.number().min(0).default(0),
      completion: z.number().min(0).default(0),
      currency: z.string().default('USD'),
    })
    .optional(),
  licence: z.string().default('unknown'),
  /** Whether token ids are stored as snapshots. */
  snapshot: z.boolean().default(true),
  /** Text for other tools, `train` and `validation` in a folder. */
  export: z
    .strictObject({
      format: z.enum(['jsonl', 'parquet']).default('jsonl'),
      form: z.enum(['chat', 'prompt-completion']).default('chat'),
      folder: z.string().default('labelled'),
    })
    .optional(),
  codec,
  format,
  shard,
});

export const labelConfig = settings.refine(codecFitsFormat, codecMisfit);

export type LabelConfig = z.infer<typeof labelConfig>;
