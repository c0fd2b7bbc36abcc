/** The servers by name. */
import { llamaCppPython } from './llama-cpp-python.ts';
import type { ServerProtocol } from './server.ts';
import { sglang } from './sglang.ts';
import { vllm } from './vllm.ts';

export const servers: Readonly<Record<'vllm' | 'sglang' | 'llama-cpp-python', ServerProtocol>> = {
  vllm,
  sglang,
  'llama-cpp-python': llamaCppPython,
};

export type ServerName = keyof typeof servers;
