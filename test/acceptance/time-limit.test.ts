import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type CachedServer, startCached } from '../support/cached-server.ts';
import { ngramAnswer, startNgramTeacher } from '../support/ngram-teacher.ts';
import type { Teacher } from '../support/replay-teacher.ts';

let folder = '';
let teacher: Teacher;
/** Milliseconds that the teacher takes longer. */
let pause = 0;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-time-limit-'));
  teacher = await startNgramTeacher({
    async answer(body) {
      await wait(pause);
      return ngramAnswer(body);
    },
  });
});
let stores = 0;
const running: CachedServer[] = [];
afterEach(async () => {
  pause = 0;
  for (const one of running.splice(0)) await one.close();
});
afterAll(async () => {
  await teacher.close();
  rmSync(folder, { recursive: true });
});

async function start(limits: object): Promise<CachedServer> {
  const store = join(folder, String(stores++));
  const one = await startCached(teacher.url, store, { limits });
  running.push(one);
  return one;
}

const tokens = [14, 199, 4063, 274];
const asking: [string, object][] = [
  ['/v1/score', { sequences: [tokens] }],
  ['/v1/completions', { prompt: tokens, prompt_logprobs: 3, max_tokens: 1 }],
  ['/v1/completions', { prompt: tokens, max_tokens: 2 }],
  ['/v1/chat/completions', { prompt: tokens, messages: [], max_tokens: 2 }],
];

async function ask({ server }: CachedServer, path: string, body: object) {
  const headers = { 'content-type': 'application/json' };
  const options = { method: 'POST', headers, body: JSON.stringify(body) };
  const reply = await fetch(`${server.url}${path}`, options);
  return { status: reply.status, body: (await reply.json()) as Record<string, unknown> };
}

describe('limits.score_timeout_ms', () => {
  it.each(asking)('ends %s %j where the teacher takes longer', async (path, body) => {
    const one = await start({ score_timeout_ms: 200 });
    pause = 1000;
    const late = await ask(one, path, body);
    expect(late).toMatchObject({ status: 408, body: { code: 'request-timeout', retryable: true } });
  });

  it('is of that answer alone: the score comes, and is then in the cache', async () => {
    const one = await start({ score_timeout_ms: 200 });
    pause = 500;
    const [path, body] = asking[1];
    expect((await ask(one, path, body)).status).toBe(408);
    await expect.poll(() => one.cached.teachers[0].load.sequences).toBe(1);
    const asked = teacher.asked.length;
    expect((await ask(one, path, body)).status).toBe(200);
    expect(teacher.asked.length).toBe(asked);
    const metrics = await (await fetch(`${one.server.url}/metrics`)).text();
    expect(metrics).toMatch(/^logitcask_reply_bytes 0$/m);
  });

  it.each(asking)(
    'gives %s %j the time that it says, beyond that of others',
    async (path, body) => {
      const one = await start({ handler_timeout_ms: 100, request_timeout_ms: 300 });
      pause = 1000;
      expect((await ask(one, path, body)).status).toBe(200);
    },
  );
});
