/** A server with the cache of one teacher, in a store of its own. */
import { expect } from 'vitest';
import { cacheConfig, cachedTeacher, serveConfig } from '../../schemas/serve-config.ts';
import { type CachedTeachers, openCachedTeachers } from '../../src/cache/open.ts';
import type { LogitcaskError } from '../../src/errors.ts';
import { type RunningServer, startServer } from '../../src/serve/server.ts';
import type { Store } from '../../src/store/store.ts';
import { openStore } from '../../src/store/table.ts';
import { ngramTokenizer } from './ngram-teacher.ts';

export interface ScoredTargets {
  origin: string;
  counts: number[];
  ids: number[];
  logprobs: number[];
  rest: number[];
  label_logprob: (number | null)[];
}
export interface ScoreReply {
  rows: { tokens: number[]; targets: Record<string, ScoredTargets> }[];
}

export interface CachedServer {
  readonly store: Store;
  readonly server: RunningServer;
  readonly cached: CachedTeachers;
  readonly errors: LogitcaskError[];
  post(body: unknown, query?: string, headers?: Record<string, string>): Promise<Response>;
  json(body: unknown, query?: string): Promise<ScoreReply>;
  close(): Promise<void>;
}

export interface CachedOptions {
  readonly cache: object;
  readonly limits: object;
  readonly topK: number;
}

export async function startCached(
  url: string,
  folder: string,
  { cache = {}, limits = {}, topK = 16 }: Partial<CachedOptions> = {},
): Promise<CachedServer> {
  const store = await openStore(folder);
  const config = serveConfig.parse({ port: 0, cache, limits });
  const errors: LogitcaskError[] = [];
  const one = cachedTeacher.parse({
    type: 'vllm',
    url,
    tokenizer: ngramTokenizer,
    top_k: topK,
  });
  const cached = await openCachedTeachers({
    store,
    teachers: { teacher: one },
    cache: cacheConfig.parse(cache),
    onError: (error) => errors.push(error),
  });
  const server = await startServer({ store, config, teachers: cached.teachers });
  const post: CachedServer['post'] = (body, query = '', headers = {}) =>
    fetch(`${server.url}/v1/score${query}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: Buffer.isBuffer(body) ? body : JSON.stringify(body),
    });
  let isOpen = true;
  return {
    store,
    server,
    cached,
    errors,
    post,
    async json(body, query) {
      const reply = await post(body, query);
      expect(reply.status).toBe(200);
      return (await reply.json()) as ScoreReply;
    },
    async close() {
      if (!isOpen) return;
      isOpen = false;
      await server.close();
      await cached.close();
      await store.close();
    },
  };
}
