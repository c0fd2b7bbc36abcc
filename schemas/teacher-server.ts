/** Teachers behind servers: what is said of one, whatever it is asked for. */
import { z } from 'zod';

/** Of every server. */
const server = {
  /** Name of the model; by default the first one that the server has. */
  model: z.string().optional(),
  /** Bearer token. */
  api_key: z.string().optional(),
  /** V; by default that of the tokenizer. */
  vocabulary: z.int().positive().max(0xffffffff).optional(),
  /** Most requests at a time; fewer where the server says that it is busy. */
  concurrency: z.int().min(1).max(256).default(16),
  timeout_ms: z.int().positive().default(300_000),
};

/** Of a server that scores given texts. */
export const scoringServer = {
  /** `http://host:port`, without a path. */
  url: z.url({ protocol: /^https?$/ }).transform((url) => url.replace(/\/+$/, '')),
  ...server,
  /** tokenizer.json of the teacher: texts are sent as its ids. */
  tokenizer: z.string(),
  /** Entries to ask for at a position. */
  top_k: z.int().min(1).max(4096).default(64),
  /** Name in the manifest; by default that of the model. */
  teacher: z.string().optional(),
};

/** A server that answers prompts. */
export const generatorServer = z.strictObject({
  type: z.enum(['vllm', 'sglang', 'llama-cpp', 'openai']),
  /** `http://host:port`; of hosted ones what stands before `/v1`. */
  url: z.url({ protocol: /^https?$/ }).transform((url) => url.replace(/\/+$|\/v1\/*$/, '')),
  ...server,
  /** tokenizer.json of the teacher: for servers that give no ids, and to render templates. */
  tokenizer: z.string().optional(),
  /**
   * chat_template.jinja or tokenizer_config.json: for servers that apply none; where a server
   * applies its own, both must give the same ids.
   */
  chat_template: z.string().optional(),
});

export type GeneratorServerConfig = z.infer<typeof generatorServer>;

/** What `logitcask doctor` asks of such a server. */
export const doctorConfig = z.strictObject({ source: generatorServer.optional() });
