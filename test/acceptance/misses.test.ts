import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type CachedServer, type ScoreReply, startCached } from '../support/cached-server.ts';
import { startNgramTeacher } from '../support/ngram-teacher.ts';
import type { Teacher } from '../support/replay-teacher.ts';

/** A token that the teacher refuses, and one for which it forgets the lists. */
const [refused, forgotten] = [4001, 4002];
const sequence = (seed: number, marked?: number) =>
  Array.from({ length: 12 }, (_, t) => (t === 5 && marked) || ((seed + 1) * 37 + t * t) % 4000);
const promptsOf = ({ prompt }: Record<string, unknown>) =>
  (typeof (prompt as unknown[])[0] === 'number' ? [prompt] : prompt) as number[][];

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

it('asks for waiting sequences together, and gives each client its own', async () => {
  begun = teacher.asked.length;
  const sequences = Array.from({ length: 40 }, (_, i) => sequence(i));
  const replies = await Promise.all(sequences.map((ids) => one.json({ sequences: [ids] })));
  expect(sizes().reduce((sum, size) => sum + size, 0)).toBe(40);
  expect(Math.max(...sizes())).toBeGreaterThan(1);
  expect(sizes().length).toBeLessThan(25);
  const alone = await startCached(teacher.url, join(folder, 'alone'));
  for (const [i, ids] of sequences.entries()) {
    const { rows } = await alone.json({ sequences: [ids] });
    expect(replies[i].rows).toEqual(rows);
  }
  await alone.close();
});

it.each([
  ['is refused', refused, 'teacher-refused'],
  ['is answered with nothing', forgotten, 'teacher-unsuitable'],
])('a sequence that %s fails alone', async (_, token, code) => {
  begun = teacher.asked.length;
  const sequences = Array.from({ length: 20 }, (_, i) =>
    sequence(token + i, i === 9 ? token : undefined),
  );
  const replies = await Promise.all(sequences.map((ids) => one.post({ sequences: [ids] })));
  expect(Math.max(...sizes())).toBeGreaterThan(1);
  for (const [i, reply] of replies.entries()) {
    const body = await reply.json();
    if (i === 9) expect(body).toMatchObject({ code });
    else expect((body as ScoreReply).rows[0].targets.teacher.origin).toBe('teacher');
  }
});
