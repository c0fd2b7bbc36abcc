import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readBatch } from '../../src/client/batch.ts';
import { openClient } from '../../src/client/client.ts';
import { checkAnswers } from '../../src/client/score.ts';
import { type CachedServer, startCached } from '../support/cached-server.ts';
import { startNgramTeacher } from '../support/ngram-teacher.ts';
import type { Teacher } from '../support/replay-teacher.ts';

const sequences = [
  [11, 12, 13, 14, 15],
  [21, 22, 23],
  [31, 32],
  [41, 42, 43, 44],
];
let folder = '';
let teacher: Teacher;
let started: CachedServer;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-scores-'));
  teacher = await startNgramTeacher();
  started = await startCached(teacher.url, folder);
});
afterAll(async () => {
  await started.close();
  await teacher.close();
  rmSync(folder, { recursive: true });
});

it('gives clients batches: of their sequences, with every check', async () => {
  const { server, json } = started;
  const meta = sequences.map((_, i) => ({ i }));
  const request = { sequences, promptLengths: [3, 1, 2, 4], meta };
  const client = openClient({ url: server.url });
  const batch = await client.score(request);
  const { rows } = await json({ sequences });
  expect(batch.rows).toBe(4);
  expect(batch.metadata['logitcask.snapshot']).toBeUndefined();
  for (const [row, { ids, offsets, probs }] of batch.targets().entries()) {
    const { teacher } = rows[row].targets;
    expect([...ids]).toEqual(teacher.ids);
    expect(offsets.at(-1)).toBe(teacher.ids.length);
    expect(Math.max(...probs)).toBeCloseTo(Math.exp(Math.max(...teacher.logprobs)), 6);
  }
  const few = await client.score({ ...request, topK: 3, targetSets: ['teacher'] });
  expect(few.targets()[0].ids.length).toBe(3 * (sequences[0].length - 1));
  await expect(client.score({ ...request, promptLengths: [1] })).rejects.toMatchObject({
    code: 'request-invalid',
  });
  await expect(client.score({ ...request, targetSets: ['other'] })).rejects.toMatchObject({
    code: 'request-invalid',
  });
  expect(() => checkAnswers(batch, { sequences: sequences.toReversed() })).toThrowError(
    expect.objectContaining({ code: 'reply-invalid' }),
  );
  expect(() => readBatch(batch.bytes.subarray(0, -100))).toThrowError();
  client.close();
});
