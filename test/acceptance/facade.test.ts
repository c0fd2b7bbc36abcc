import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readInput } from '../../src/capture/input-file.ts';
import { openTokenizer } from '../../src/capture/tokenizer.ts';
import { type CachedServer, startCached } from '../support/cached-server.ts';
import { ngramTokenizer, startNgramTeacher } from '../support/ngram-teacher.ts';
import type { Teacher } from '../support/replay-teacher.ts';

const k = 16;
const tokenizer = openTokenizer(await readInput(ngramTokenizer), ngramTokenizer);
const verses = [
  'And the LORD spake unto Moses, saying, Speak unto the children of Israel',
  'Blessed is the man that walketh not in the counsel of the ungodly',
  'The heavens declare the glory of God; and the firmament sheweth his handywork',
];
const prompts = verses.map((text) => [...tokenizer.encode(text, true)]);

interface Entry {
  logprob: number;
  rank: number;
  decoded_token: string;
}
type Row = Record<string, Entry> | null;
interface Choice {
  index: number;
  text: string;
  prompt_logprobs: Row[] | null;
  prompt_token_ids: number[] | null;
  token_ids: number[] | null;
}
interface Completion {
  object: string;
  model: string;
  choices: Choice[];
  usage: { prompt_tokens: number; completion_tokens: number };
}

/** A seed that the teacher refuses, and its words. */
const rude = 13;
const words = { error: { message: 'no such thing', code: 400 } };

let folder = '';
let teacher: Teacher;
const running: CachedServer[] = [];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-facade-'));
  teacher = await startNgramTeacher({
    fault(request, response) {
      if (teacher.asked[request - 1].seed !== rude) return false;
      response.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify(words));
      return true;
    },
  });
});
afterAll(async () => {
  for (const one of running.splice(0)) await one.close();
  await teacher.close();
  rmSync(folder, { recursive: true });
});

async function start(name: string, cache: object = {}): Promise<CachedServer> {
  const one = await startCached(teacher.url, join(folder, name), { cache, topK: k });
  running.push(one);
  return one;
}

const send = (url: string, body: object, path = '/v1/completions') =>
  fetch(`${url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

async function complete(url: string, body: object): Promise<Completion> {
  const reply = await send(url, body);
  const text = await reply.text();
  expect([reply.status, text.slice(0, 200)]).toEqual([200, expect.anything()]);
  expect(Number(reply.headers.get('content-length'))).toBe(Buffer.byteLength(text));
  return JSON.parse(text) as Completion;
}

/** As TRL sends it. */
const scoring = (prompt: unknown, more: object = {}) => ({
  model: 'small-lm',
  prompt,
  max_tokens: 1,
  temperature: 1,
  prompt_logprobs: k,
  ...more,
});

const inRank = (row: Row) => Object.entries(row ?? {}).sort(([, a], [, b]) => a.rank - b.rank);

const metric = async ({ server }: CachedServer, name: string) => {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  return Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${name} `))
      ?.split(' ')[1],
  );
};

describe('the facade for clients of vLLM', () => {
  it('says that it lives, and which models it has', async () => {
    const { server } = await shared();
    const health = await fetch(`${server.url}/health`);
    expect([health.status, await health.text()]).toEqual([200, '']);
    const models = await (await fetch(`${server.url}/v1/models`)).json();
    expect(models).toMatchObject({
      object: 'list',
      data: [{ id: 'small-lm', object: 'model', max_model_len: 256 }],
    });
  });

  it('answers prompts as the teacher does, and asks it once', async () => {
    const one = await start('scores');
    const before = teacher.asked.length;
    const first = await complete(one.server.url, scoring(prompts));
    expect(teacher.asked.length - before).toBe(3);
    const again = await complete(one.server.url, scoring(prompts, { return_token_ids: true }));
    expect(teacher.asked.length - before).toBe(3);
    const own = (await (await send(teacher.url, scoring(prompts))).json()) as Completion;
    for (const [i, { prompt_logprobs: rows }] of own.choices.entries()) {
      const { prompt_logprobs: mine, index } = first.choices[i];
      expect(index).toBe(i);
      expect(again.choices[i].prompt_logprobs).toEqual(mine);
      expect(again.choices[i].prompt_token_ids).toEqual(prompts[i]);
      expect(mine).toHaveLength(prompts[i].length);
      expect(mine?.[0]).toBeNull();
      for (const [t, row] of rows!.entries()) {
        if (row === null) continue;
        const entries = inRank(mine![t]);
        for (const [j, [id, entry]] of inRank(row).entries()) {
          expect(entries[j][0]).toBe(id);
          expect(entries[j][1].logprob).toBe(entry.logprob);
          // the rank of a token beyond the list is the first that it can be
          expect(entries[j][1].rank).toBe(Math.min(entry.rank, k + 1));
          expect(entries[j][1].decoded_token).toBe(tokenizer.decode([Number(id)]));
        }
        expect(mine![t]).toHaveProperty(String(prompts[i][t]));
      }
    }
    expect(first.usage.prompt_tokens).toBe(prompts.flat().length);
    const answers = 'logitcask_cache_answers_total{target_set="teacher",origin=';
    expect(await metric(one, `${answers}"teacher"}`)).toBe(3);
    expect(await metric(one, `${answers}"cache"}`)).toBe(3);
    expect(await metric(one, 'logitcask_cache_sequences{target_set="teacher"}')).toBe(3);
    expect(await metric(one, 'logitcask_cache_log_bytes{target_set="teacher"}')).toBeGreaterThan(0);
  });

  it('takes text, ids and lists of either, and fewer entries than it has', async () => {
    const { server } = await shared();
    const many = await complete(server.url, scoring(verses, { prompt_logprobs: 3 }));
    const one = await complete(server.url, scoring(verses[1], { prompt_logprobs: 3 }));
    const ids = await complete(server.url, scoring(prompts[1], { prompt_logprobs: 3 }));
    expect(many.choices[1].prompt_logprobs).toEqual(ids.choices[0].prompt_logprobs);
    expect(one.choices[0].prompt_logprobs).toEqual(ids.choices[0].prompt_logprobs);
    for (const [t, row] of ids.choices[0].prompt_logprobs!.entries()) {
      if (row === null) continue;
      const ranks = inRank(row).map(([, { rank }]) => rank);
      expect(ranks.slice(0, 3)).toEqual([1, 2, 3]);
      const actual = row[prompts[1][t]];
      expect(ranks).toHaveLength(actual.rank <= 3 ? 3 : 4);
    }
    const single = await complete(server.url, scoring([[5]]));
    expect(single.choices[0].prompt_logprobs).toEqual([null]);
  });

  it('takes what axolotl sends: no model, echo, and parameters of other servers', async () => {
    const { server } = await shared();
    const { choices } = await complete(server.url, {
      prompt: prompts,
      echo: true,
      logprobs: true,
      prompt_logprobs: 8,
      top_logprobs: 8,
      max_new_tokens: 0,
      skip_special_tokens: false,
      temperature: 1.0,
      sampling_params: { max_tokens: 0 },
    });
    expect(choices.map(({ prompt_logprobs }) => prompt_logprobs!.length)).toEqual(
      prompts.map(({ length }) => length),
    );
    expect(choices[0].text).toContain(verses[0]);
    // the first entries are the most probable, in the order of the text
    const text = await (await send(server.url, scoring(prompts[0]))).text();
    const row = /\[null,\{(.*?)\}\}/.exec(text)?.[1] ?? '';
    expect([...row.matchAll(/"rank":(\d+)/g)].map(([, rank]) => Number(rank)).slice(0, k)).toEqual(
      Array.from({ length: k }, (_, i) => i + 1),
    );
  });

  it('refuses other temperatures unless they may be approximate', async () => {
    const strict = await shared();
    const refused = await send(strict.server.url, scoring(prompts[0], { temperature: 2 }));
    expect(refused.status).toBe(422);
    expect(await refused.json()).toMatchObject({ code: 'temperature-unsupported', got: 2 });
    await complete(strict.server.url, scoring(prompts[0], { temperature: 0 }));
    const loose = await start('loose', { approximate_temperatures: true });
    const cool = await complete(loose.server.url, scoring(prompts[0]));
    const warm = await complete(loose.server.url, scoring(prompts[0], { temperature: 2 }));
    const [a, b] = [cool, warm].map(({ choices }) => inRank(choices[0].prompt_logprobs![3]));
    expect(b.map(([id]) => id)).toEqual(a.map(([id]) => id));
    // differences of log-probs halve
    const gap = ([[, first], [, second]]: typeof a) => first.logprob - second.logprob;
    expect(gap(b)).toBeCloseTo(gap(a) / 2, 5);
    expect(b[0][1].logprob).toBeLessThan(a[0][1].logprob);
  });

  it('passes generation on, and scores what was made behind the scenes', async () => {
    const one = await start('generation');
    const [prompt] = prompts;
    const asked = { model: 'small-lm', prompt, max_tokens: 6, temperature: 0, seed: 7 };
    const before = teacher.asked.length;
    const { choices } = await complete(one.server.url, { ...asked, return_token_ids: true });
    expect(teacher.asked[before]).toEqual({ ...asked, return_token_ids: true });
    const made = [...prompt, ...choices[0].token_ids!];
    await expect.poll(() => one.cached.teachers[0].load.sequences).toBe(1);
    const scored = await one.json({ sequences: [made] });
    expect(scored.rows[0].targets.teacher.origin).toBe('cache');
    await complete(one.server.url, asked); // no ids come back: nothing to record
    const chat = { model: 'small-lm', prompt: [3, 4], messages: [], max_tokens: 2 };
    expect((await send(one.server.url, chat, '/v1/chat/completions')).status).toBe(200);
    expect(one.cached.teachers[0].load.sequences).toBe(1);
  });

  it('offline scores what it has, names what it lacks, and passes nothing on', async () => {
    const filled = await start('offline');
    await complete(filled.server.url, scoring(prompts[0]));
    await filled.close();
    const { server } = await start('offline', { offline: true });
    await complete(server.url, scoring(prompts[0].slice(0, 9)));
    const missing = await send(server.url, scoring(prompts));
    expect(missing.status).toBe(404);
    expect(await missing.json()).toMatchObject({ code: 'sample-not-found', got: [1, 2] });
    const generation = await send(server.url, { prompt: prompts[0], max_tokens: 5 });
    expect([generation.status, await generation.json()]).toMatchObject([
      404,
      { code: 'route-not-found' },
    ]);
  });

  it.each([
    ['no prompt', { prompt: undefined }],
    ['an empty prompt', { prompt: [] }],
    ['an empty list of ids', { prompt: [[]] }],
    ['an id that is none', { prompt: [[1, 2.5]] }],
    ['a negative id', { prompt: [1, -2] }],
    ['ids as text', { prompt: [['1']] }],
    ['an id that has no text', { prompt: [[{ toString: 1, valueOf: 1 }]] }],
    ['more entries than are cached', { prompt_logprobs: k + 1 }],
    ['all entries', { prompt_logprobs: -1 }],
    ['another model', { model: 'other' }],
    ['several answers', { n: 2 }],
    ['a stream', { prompt_logprobs: null, stream: true }],
    ['more tokens than the context', { prompt: Array(256).fill(1) }],
  ])('refuses %s', async (_, wrong) => {
    const { server } = await shared();
    const reply = await send(server.url, scoring(prompts[0], wrong));
    expect([reply.status, await reply.json()]).toMatchObject([400, { code: 'request-invalid' }]);
  });

  it('refuses what is no JSON, and gives the words of a teacher that refuses', async () => {
    const { server } = await shared();
    const headers = { 'content-type': 'application/json' };
    const url = `${server.url}/v1/completions`;
    const reply = await fetch(url, { method: 'POST', headers, body: '{"prompt":' });
    expect([reply.status, await reply.json()]).toMatchObject([400, { code: 'request-invalid' }]);
    const asked = { model: 'small-lm', prompt: prompts[0], max_tokens: 2, seed: rude };
    const refused = await send(server.url, asked);
    expect([refused.status, await refused.json()]).toEqual([400, words]);
  });
});

let sharing: Promise<CachedServer> | undefined;
function shared(): Promise<CachedServer> {
  sharing ??= start('shared');
  return sharing;
}
