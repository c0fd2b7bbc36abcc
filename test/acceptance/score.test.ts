import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cacheConfig, cachedTeacher, serveConfig } from '../../schemas/serve-config.ts';
import { verifySnapshot } from '../../src/audit/verify.ts';
import { openCachedTeachers } from '../../src/cache/open.ts';
import { readInput } from '../../src/capture/input-file.ts';
import { openTokenizer } from '../../src/capture/tokenizer.ts';
import { openClient } from '../../src/client/client.ts';
import { encodeStream } from '../../src/formats/arrow.ts';
import { readStream } from '../../src/formats/arrow-read.ts';
import { bytesOf, list, primitive } from '../../src/formats/layout.ts';
import { startServer } from '../../src/serve/server.ts';
import { resolveSnapshot } from '../../src/shard/snapshot.ts';
import { openStore } from '../../src/store/table.ts';
import { type CachedServer, type ScoredTargets, startCached } from '../support/cached-server.ts';
import { ngramTokenizer, startNgramTeacher } from '../support/ngram-teacher.ts';
import type { Teacher } from '../support/replay-teacher.ts';

const arrow = 'application/vnd.apache.arrow.stream';
const k = 16;
const tokenizer = openTokenizer(await readInput(ngramTokenizer), ngramTokenizer);
const verse = (text: string) => [...tokenizer.encode(text)];
const sequences = [
  'And the LORD spake unto Moses, saying, Speak unto the children of Israel',
  'Blessed is the man that walketh not in the counsel of the ungodly',
  'The heavens declare the glory of God; and the firmament sheweth his handywork',
  'Wisdom is the principal thing; therefore get wisdom',
].map(verse);

let folder = '';
let teacher: Teacher;
const running: CachedServer[] = [];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-score-'));
  teacher = await startNgramTeacher();
});
afterAll(async () => {
  for (const one of running.splice(0)) await one.close();
  await teacher.close();
  rmSync(folder, { recursive: true });
});

const start = async (name: string, cache: object = {}) => {
  const one = await startCached(teacher.url, join(folder, name), { cache, topK: k });
  running.push(one);
  return one;
};

/** Requests that scored given sequences, those of the proof at start left out. */
const scored = () =>
  teacher.asked.filter(({ prompt }) => sequences.some((own) => begins(own, prompt)));
const begins = (own: number[], prompt: unknown) =>
  Array.isArray(prompt) && prompt.every((id, i) => own[i] === id);

describe('POST /v1/score', () => {
  it('asks the teacher once, keeps what it says, and gives the same to all', async () => {
    const { json } = await start('once');
    const before = scored().length;
    const first = await json({ sequences });
    expect(first.rows.map(({ targets }) => targets.teacher.origin)).toEqual(
      Array(4).fill('teacher'),
    );
    const again = await json({ sequences });
    expect(again.rows.map(({ targets }) => targets.teacher.origin)).toEqual(Array(4).fill('cache'));
    for (const [i, { tokens, targets }] of first.rows.entries()) {
      const { origin, ...own } = targets.teacher;
      expect(again.rows[i].targets.teacher).toMatchObject(own);
      expect(tokens).toEqual(sequences[i]);
      expect(own.counts).toEqual(tokens.map((_, t) => (t + 1 < tokens.length ? k : 0)));
      expect(own.label_logprob.at(-1)).toBeNull();
    }
    expect(scored().length - before).toBe(4);
  });

  it('gives the numbers of the teacher: its lists, and the actual token beyond them', async () => {
    const { json } = await start('numbers');
    const { rows } = await json({ sequences: [sequences[0]] });
    const asked = { prompt: sequences[0], prompt_logprobs: k, max_tokens: 0 };
    const reply = await fetch(`${teacher.url}/v1/completions`, {
      method: 'POST',
      body: JSON.stringify(asked),
    });
    const { choices } = (await reply.json()) as {
      choices: { prompt_logprobs: (Record<string, { logprob: number; rank: number }> | null)[] }[];
    };
    const { ids, logprobs, label_logprob } = rows[0].targets.teacher;
    for (const [t, row] of choices[0].prompt_logprobs.slice(1).entries()) {
      const entries = Object.entries(row ?? {}).sort(([, a], [, b]) => a.rank - b.rank);
      const kept = entries.slice(0, k);
      expect(ids.slice(t * k, (t + 1) * k)).toEqual(kept.map(([id]) => Number(id)));
      expect(logprobs.slice(t * k, (t + 1) * k)).toEqual(kept.map(([, { logprob }]) => logprob));
      expect(label_logprob[t]).toBe(row?.[sequences[0][t + 1]].logprob);
    }
  });

  it('takes and gives Arrow that every batch reader checks', async () => {
    const { post, json } = await start('arrow');
    const plain = await json({ sequences, prompt_lengths: [3, 1, 2, 4] });
    const offsets = [0];
    for (const ids of sequences) offsets.push(offsets[offsets.length - 1] + ids.length);
    const body = encodeStream(
      { tokens: list(primitive('int32')), prompt_length: primitive('int32') },
      [
        {
          tokens: {
            rows: 4,
            buffers: [
              bytesOf(Int32Array.from(offsets)),
              bytesOf(Int32Array.from(sequences.flat())),
            ],
          },
          prompt_length: { rows: 4, buffers: [bytesOf(Int32Array.of(3, 1, 2, 4))] },
        },
      ],
      {},
    );
    const reply = await post(body, '', { 'content-type': arrow, accept: arrow });
    expect(reply.status).toBe(200);
    const bytes = Buffer.from(await reply.arrayBuffer());
    expect(reply.headers.get('content-length')).toBe(String(bytes.length));
    const { metadata, batches } = readStream(bytes);
    expect(metadata).toMatchObject({ 'logitcask.rows': '4', 'logitcask.layout': 'plain' });
    const [columns] = batches;
    const ids = new Uint32Array(new Uint8Array(columns.teacher_ids.buffers[1]).buffer);
    const logprobs = new Float32Array(new Uint8Array(columns.teacher_logprobs.buffers[1]).buffer);
    expect([...ids]).toEqual(plain.rows.flatMap(({ targets }) => targets.teacher.ids));
    expect([...logprobs]).toEqual(plain.rows.flatMap(({ targets }) => targets.teacher.logprobs));
  });

  it('cuts lists where fewer entries are asked for, and says no to more', async () => {
    const { json, post } = await start('cut');
    const whole = (await json({ sequences: [sequences[1]] })).rows[0].targets.teacher;
    const few = (await json({ sequences: [sequences[1]] }, '?top_k=3')).rows[0].targets.teacher;
    expect(few.ids).toEqual(whole.ids.filter((_, i) => i % k < 3));
    for (const [t, rest] of few.rest.slice(0, -1).entries()) {
      const kept = few.logprobs.slice(3 * t, 3 * t + 3).reduce((sum, p) => sum + Math.exp(p), 0);
      expect(rest).toBeCloseTo(1 - kept, 5);
    }
    const refused = await post({ sequences }, '?top_k=17');
    expect(refused.status).toBe(400);
    expect(await refused.json()).toMatchObject({ code: 'request-invalid', expected: k, got: 17 });
  });

  it('seals its log into a snapshot that trains, and answers from it', async () => {
    const name = 'sealed';
    let one = await start(name);
    const first = await one.json({ sequences: sequences.slice(0, 3), prompt_lengths: [4, 1, 1] });
    await one.cached.seal();
    const { manifest, id } = await resolveSnapshot(one.store, 'live', 'latest');
    expect(manifest.totals.samples).toBe(3);
    expect(await verifySnapshot(one.store, { dataset: 'live', snapshot: id })).toMatchObject({
      problems: [],
    });
    await one.json({ sequences });
    await one.cached.seal();
    await one.close();
    const before = scored().length;
    one = await start(name);
    const second = await one.json({ sequences });
    expect(scored().length).toBe(before);
    const later = await resolveSnapshot(one.store, 'live', 'latest');
    expect(later.manifest.totals.samples).toBe(4);
    expect(later.manifest.parent).toBe(id);
    expect(await verifySnapshot(one.store, { dataset: 'live', snapshot: later.id })).toMatchObject({
      problems: [],
    });
    for (const [i, { targets }] of first.rows.entries()) {
      const { ids, logprobs, label_logprob } = targets.teacher;
      const stored = second.rows[i].targets.teacher;
      expect(stored.origin).toBe('cache');
      // what was too improbable for a level is in the rest
      const kept = new Map(stored.ids.map((id, j) => [`${id} ${positionOf(stored, j)}`, j]));
      let error = 0;
      for (const [j, id] of ids.entries()) {
        const at = kept.get(`${id} ${Math.floor(j / k)}`);
        const p = at === undefined ? 0 : Math.exp(stored.logprobs[at]);
        error = Math.max(error, Math.abs(Math.sqrt(p) - Math.sqrt(Math.exp(logprobs[j]))));
      }
      expect(error).toBeLessThan(0.006);
      for (const [t, label] of label_logprob.entries()) {
        if (label !== null) expect(stored.label_logprob[t]).toBeCloseTo(label, 2);
      }
    }
    expect(readdirSync(join(folder, name, 'live', 'scores', 'teacher'))).toHaveLength(3);
  });

  it('serves what was sealed to trainers, with the prompt masked', async () => {
    const { json, cached, server } = await start('trained');
    await json({ sequences, prompt_lengths: [5, 5, 5, 5], meta: sequences.map((_, i) => ({ i })) });
    await cached.seal();
    const client = openClient({ url: server.url });
    const plan = await client.createPlan({ streams: [{ dataset: 'live' }], global_batch: 4 });
    const batch = await client.step({ plan: plan.plan, epoch: 0, step: 0 });
    client.close();
    expect(batch.rows).toBe(4);
    expect(batch.positions).toBe(sequences.flat().length);
  });

  it('offline answers what it has and names what is missing', async () => {
    const filled = await start('offline');
    await filled.json({ sequences: [sequences[0], sequences[2]] });
    await filled.close();
    const before = teacher.asked.length;
    const { json, post } = await start('offline', { offline: true });
    const { rows } = await json({ sequences: [sequences[2], sequences[0].slice(0, 6)] });
    expect(rows.map(({ targets }) => targets.teacher.origin)).toEqual(['cache', 'cache']);
    const missing = await post({ sequences: [sequences[0], sequences[1], sequences[3]] });
    expect(missing.status).toBe(404);
    expect(await missing.json()).toMatchObject({ code: 'sample-not-found', got: [1, 2] });
    expect(teacher.asked.length).toBe(before);
  });

  it('holds one teacher: another one, other lists or another server are refused', async () => {
    const one = await start('mine');
    await expect(start('mine')).rejects.toMatchObject({ code: 'build-running' });
    await one.close();
    const store = await openStore(join(folder, 'mine'));
    const other = cachedTeacher.parse({
      type: 'vllm',
      url: teacher.url,
      tokenizer: ngramTokenizer,
      top_k: 8,
    });
    const opening = openCachedTeachers({
      store,
      teachers: { teacher: other },
      cache: cacheConfig.parse({}),
      onError: () => {},
    });
    await expect(opening).rejects.toMatchObject({ code: 'conflict' });
    await store.close();
  });

  it.each([
    ['no sequences', {}, 'request-invalid'],
    ['an empty list', { sequences: [] }, 'request-invalid'],
    ['a token of text', { sequences: [['a']] }, 'request-invalid'],
    ['one token', { sequences: [[1]] }, 'request-invalid'],
    ['an id outside V', { sequences: [[1, 8192]] }, 'token-out-of-range'],
    ['more tokens than the context', { sequences: [Array(256).fill(1)] }, 'request-invalid'],
    ['a prompt that is too long', { sequences: [[1, 2]], prompt_lengths: [3] }, 'request-invalid'],
    ['two lengths for one', { sequences: [[1, 2]], prompt_lengths: [1, 1] }, 'request-invalid'],
    ['no Arrow', Buffer.from('nothing of the kind'), 'request-invalid'],
  ])('refuses %s', async (_, body, code) => {
    const one = await refusing();
    const type = Buffer.isBuffer(body) ? arrow : 'application/json';
    const reply = await one.post(body, '', { 'content-type': type });
    expect(reply.status).toBeGreaterThanOrEqual(400);
    expect(await reply.json()).toMatchObject({ code });
  });

  it('refuses meta that cannot be kept, before anything is asked', async () => {
    const one = await refusing();
    const before = teacher.asked.length;
    const deep = '['.repeat(50_000) + ']'.repeat(50_000);
    const reply = await fetch(`${one.server.url}/v1/score`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: `{"sequences": [[1, 2]], "meta": [{"a": ${deep}}]}`,
    });
    expect(await reply.json()).toMatchObject({ code: 'request-invalid' });
    expect(teacher.asked.length).toBe(before);
  });

  it('without a teacher does not exist', async () => {
    const store = await openStore(join(folder, 'none'));
    const server = await startServer({ store, config: serveConfig.parse({ port: 0 }) });
    const reply = await fetch(`${server.url}/v1/score`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ sequences }),
    });
    expect(reply.status).toBe(404);
    await server.close();
    await store.close();
  });
});

let refuser: Promise<CachedServer> | undefined;
function refusing(): Promise<CachedServer> {
  refuser ??= start('refuse');
  return refuser;
}

function positionOf({ counts }: ScoredTargets, entry: number): number {
  let t = 0;
  for (let left = entry; left >= counts[t]; t++) left -= counts[t];
  return t;
}
