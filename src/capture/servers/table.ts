/** The servers by name. */
import type { ServerProtocol } from './server.ts';
import { sglang } from './sglang.ts';
import { vllm } from './vllm.ts';

export const servers = { vllm, sglang } as const satisfies Record<string, ServerProtocol>;

export type ServerName = keyof typeof servers;
