import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type CachedServer, startCached } from '../support/cached-server.ts';
import { ngramAnswer, startNgramTeacher } from '../support/ngram-teacher.ts';
import type { Teacher } from '../support/replay-teacher.ts';

/** A token that the teacher refuses, and one for which it forgets the lists. */
const [refused, forgotten] = [4001, 4002];
const sequence = (seed: number, marked?: number) =>
  Array.from({ length: 12 }, (_, t) => (t === 5 && marked) || ((seed + 1) * 37 + t * t) % 4000);
const promptsOf = ({ prompt }: Record<string, unknown>) =>
  (typeof (prompt as unknown[])[0] === 'number' ? [prompt] : prompt) as number[][];

const asking = { prompt_logprobs: 16 as never, max_tokens: 0 as never };
interface Answered {
  choices: { prompt_logprobs: Record<string, { logprob: number }>[] }[];
}

let folder = '';
let teacher: Teacher;
let one: CachedServer;
/** Prompts of each request for scores, since the start. */
const sizes = () => teacher.asked.slice(begun).map((body) => promptsOf(body).length);
let begun = 0;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-misses-'));
  teacher = await startNgramTeacher({
    fault(_, response, body) {
      const has = (token: number) => promptsOf(body).some((ids) => ids.includes(token));
      if (!has(refused) && !has(forgotten)) return false;
      response.setHeader('content-type', 'application/json');
      response.statusCode = has(refused) ? 400 : 200;
      response.end(JSON.stringify({ error: { message: 'not this one' }, choices: [] }));
      return true;
    },
  });
  one = await startCached(teacher.url, join(folder, 'store'));
});
afterAll(async () => {
  await one.close();
  await teacher.close();
  rmSync(folder, { recursive: true });
});

it('asks for waiting sequences together, and gives each its own', async () => {
  begun = teacher.asked.length;
  const sequences = Array.from({ length: 40 }, (_, i) => sequence(i));
  const { rows } = await one.json({ sequences });
  expect(sizes().reduce((sum, size) => sum + size, 0)).toBe(40);
  expect(sizes().slice(0, 4)).toEqual([1, 1, 1, 1]); // nothing waits for company
  expect(Math.max(...sizes())).toBeGreaterThan(1);
  expect(sizes().length).toBeLessThan(30);
  for (const [i, ids] of sequences.entries()) {
    const { tokens, targets } = rows[i];
    expect(tokens).toEqual(ids);
    const own = (await ngramAnswer({ ...asking, prompt: ids as never })) as Answered;
    const last = Object.values(own.choices[0].prompt_logprobs[ids.length - 1]);
    const best = Math.max(...last.map(({ logprob }) => logprob));
    expect(targets.teacher.logprobs[(ids.length - 2) * 16]).toBe(best);
  }
});

it.each([
  ['is refused', refused, 'teacher-refused'],
  ['is answered with nothing', forgotten, 'teacher-unsuitable'],
])('a sequence that %s fails alone', async (_, token, code) => {
  const fresh = await startCached(teacher.url, join(folder, code));
  begun = teacher.asked.length;
  const sequences = Array.from({ length: 30 }, (_, i) =>
    sequence(i + 100, i === 19 ? token : undefined),
  );
  const failed = await fresh.post({ sequences });
  expect(await failed.json()).toMatchObject({ code });
  const together = teacher.asked.slice(begun).map(promptsOf);
  expect(together.filter((ids) => ids.length > 1 && ids.flat().includes(token))).toHaveLength(1);
  const others = sequences.filter((_, i) => i !== 19);
  const { rows } = await fresh.json({ sequences: others });
  for (const { targets } of rows) expect(targets.teacher.origin).toBe('cache');
  await fresh.close();
});
