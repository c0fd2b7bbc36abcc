import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type CachedServer, startCached } from '../support/cached-server.ts';
import { startNgramTeacher } from '../support/ngram-teacher.ts';
import type { Teacher } from '../support/replay-teacher.ts';

let folder = '';
let teacher: Teacher;
let one: CachedServer;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-facade-again-'));
  teacher = await startNgramTeacher();
  // the text of one prompt at most
  one = await startCached(teacher.url, folder, { cache: { text_bytes_max: 1 } });
});
afterAll(async () => {
  await one.close();
  await teacher.close();
  rmSync(folder, { recursive: true });
});

interface Reply {
  id: string;
  created: number;
  choices: { prompt_logprobs: unknown[]; prompt_token_ids: number[] }[];
}

async function complete(body: string): Promise<Reply> {
  const headers = { 'content-type': 'application/json' };
  const reply = await fetch(`${one.server.url}/v1/completions`, { method: 'POST', headers, body });
  expect(reply.status).toBe(200);
  return (await reply.json()) as Reply;
}

async function answered(origin: string): Promise<number> {
  const text = await (await fetch(`${one.server.url}/metrics`)).text();
  const name = `logitcask_cache_answers_total{target_set="teacher",origin="${origin}"}`;
  const line = text.split('\n').find((line) => line.startsWith(name));
  return Number(line?.split(' ')[1]);
}

const bodyOf = (prompt: number[][]) =>
  JSON.stringify({ prompt, prompt_logprobs: 16, max_tokens: 1, return_token_ids: true });
const [verse, other] = [
  [14, 199, 4063, 274],
  [14, 199, 4063, 275, 9],
];

it('a body that comes again has the same log-probs, another id, and hits that are counted', async () => {
  const body = bodyOf([verse, other]);
  const first = await complete(body);
  const [teachers, hits] = [await answered('teacher'), await answered('cache')];
  expect([teachers, hits]).toEqual([2, 0]);
  const again = await complete(body);
  expect(again.choices).toEqual(first.choices);
  expect(again.id).toMatch(/^cmpl-[0-9a-f-]{36}$/);
  expect(again.id).not.toBe(first.id);
  expect(again.created).toBeGreaterThanOrEqual(first.created);
  expect([await answered('teacher'), await answered('cache')]).toEqual([2, 2]);
});

it('a body of one byte less or another byte is another', async () => {
  const prompts = [verse, [...verse.slice(0, 3), 275], verse.slice(0, 3)];
  for (let round = 0; round < 2; round++) {
    for (const prompt of prompts) {
      const { choices } = await complete(bodyOf([prompt]));
      expect(choices[0].prompt_token_ids).toEqual(prompt);
      expect(choices[0].prompt_logprobs).toHaveLength(prompt.length);
      expect(choices[0].prompt_logprobs.at(-1)).toHaveProperty(String(prompt.at(-1)));
    }
  }
});

it('the bytes of a generation go to the teacher each time', async () => {
  const body = JSON.stringify({ prompt: verse, max_tokens: 2 });
  const before = teacher.asked.length;
  for (let i = 0; i < 2; i++) await complete(body);
  expect(teacher.asked.slice(before)).toEqual([JSON.parse(body), JSON.parse(body)]);
});
