/** The servers that answer prompts, by name. */
import type { GeneratorProtocol } from './generator.ts';
import { llamaCpp } from './llama-cpp.ts';
import { openai } from './openai.ts';
import { sglang } from './sglang.ts';
import { vllm } from './vllm.ts';

export const generators = {
  vllm,
  sglang,
  'llama-cpp': llamaCpp,
  openai,
} as const satisfies Record<string, GeneratorProtocol>;
