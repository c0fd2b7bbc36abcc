import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { cacheConfig, cachedTeacher, serveConfig } from '../../schemas/serve-config.ts';
import { type CachedTeachers, openCachedTeachers } from '../../src/cache/open.ts';
import { openClient } from '../../src/client/client.ts';
import { joinSnapshots } from '../../src/convert.ts';
import { type RunningServer, startServer } from '../../src/serve/server.ts';
import type { Store } from '../../src/store/store.ts';
import { openStore } from '../../src/store/table.ts';
import { coded } from '../contracts/store.ts';
import { ngramAnswer, ngramTokenizer, startNgramTeacher } from '../support/ngram-teacher.ts';
import type { Teacher } from '../support/replay-teacher.ts';

let folder = '';
let teacher: Teacher;
let store: Store;
let cached: CachedTeachers;
let server: RunningServer;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-teachers-'));
  teacher = await startNgramTeacher();
  store = await openStore(folder);
  const of = (top_k: number) =>
    cachedTeacher.parse({ type: 'vllm', url: teacher.url, tokenizer: ngramTokenizer, top_k });
  cached = await openCachedTeachers({
    store,
    teachers: { teacher: of(8), second: of(3) },
    cache: cacheConfig.parse({}),
    onError: () => {},
  });
  const config = serveConfig.parse({ port: 0 });
  server = await startServer({ store, config, teachers: cached.teachers });
});
afterAll(async () => {
  await server.close();
  await cached.close();
  await store.close();
  await teacher.close();
  rmSync(folder, { recursive: true });
});

it('two teachers score one request, and are one data set once they are joined', async () => {
  const client = openClient({ url: server.url });
  const sequences = [
    [11, 12, 13, 14],
    [21, 22, 23],
  ];
  const scored = await client.score({ sequences });
  expect(scored.targetSets.map(({ name }) => name)).toEqual(['teacher', 'second']);
  const counts = (set: string, { targets } = scored) =>
    targets(set).map(({ offsets }) => offsets[1]);
  expect(counts('teacher')).toEqual([8, 8]);
  expect(counts('second')).toEqual([3, 3]);
  const alone = [[31, 32, 33, 34, 35]];
  await client.score({ sequences: alone, targetSets: ['teacher'] });
  await cached.seal();
  const { manifest } = await joinSnapshots(store, {
    datasets: ['live', 'live-second'],
    snapshot: 'latest',
    dataset: 'both',
    tag: 'latest',
    format: 'arrow',
    compression: 'zstd',
  });
  expect(manifest.totals.samples).toBe(3);
  const { plan } = await client.createPlan({
    streams: [{ dataset: 'both' }],
    global_batch: 3,
    shuffle: { mode: 'none' },
  });
  const batch = await client.step({ plan, epoch: 0, step: 0 });
  client.close();
  const lengths = batch.targets('teacher').map(({ count }) => count);
  const both = batch.targets('second').map(({ ids }, row) => [lengths[row], ids.length > 0]);
  expect(both.sort()).toEqual([
    [3, true],
    [4, true],
    [5, false],
  ]);
});

it('a teacher whose rows are shifted is not opened', async () => {
  const late = await startNgramTeacher({
    answer: async (body) => {
      const reply = (await ngramAnswer(body)) as { choices: { prompt_logprobs: unknown[] }[] };
      const [{ prompt_logprobs: rows }] = reply.choices;
      rows.splice(1, rows.length - 1, ...rows.slice(2), rows.at(-1));
      return reply;
    },
  });
  const shifted = { type: 'vllm', url: late.url, tokenizer: ngramTokenizer, top_k: 8 };
  const opened = openCachedTeachers({
    store,
    teachers: { shifted: cachedTeacher.parse(shifted) },
    cache: cacheConfig.parse({}),
    onError: () => {},
  });
  await expect(opened).rejects.toThrowError(coded('source-misaligned'));
  await late.close();
});
