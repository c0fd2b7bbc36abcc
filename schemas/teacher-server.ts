/** A teacher behind a server that answers prompts. */
import { z } from 'zod';

export const generatorServer = z.strictObject({
  type: z.enum(['vllm', 'sglang', 'llama-cpp', 'openai']),
  /** `http://host:port`; of hosted ones what stands before `/v1`. */
  url: z.url({ protocol: /^https?$/ }).transform((url) => url.replace(/\/+$|\/v1\/*$/, '')),
  /** Name of the model; by default the first one that the server has. */
  model: z.string().optional(),
  /** Bearer token. */
  api_key: z.string().optional(),
  /** tokenizer.json of the teacher: for servers that give no ids, and to render templates. */
  tokenizer: z.string().optional(),
  /**
   * chat_template.jinja or tokenizer_config.json: for servers that apply none; where a server
   * applies its own, both must give the same ids.
   */
  chat_template: z.string().optional(),
  /** V; by default that of the tokenizer. */
  vocabulary: z.int().positive().max(0xffffffff).optional(),
  /** Most requests at a time; fewer where the server says that it is busy. */
  concurrency: z.int().min(1).max(256).default(16),
  timeout_ms: z.int().positive().default(300_000),
});

export type GeneratorServerConfig = z.infer<typeof generatorServer>;

/** What `logitcask doctor` asks of such a server. */
export const doctorConfig = z.strictObject({ source: generatorServer.optional() });
