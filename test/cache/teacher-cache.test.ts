import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CacheOptions, TeacherCache } from '../../src/cache/teacher-cache.ts';
import { openTokenizer } from '../../src/capture/tokenizer.ts';
import type { ListRows } from '../../src/distribution/rows.ts';
import { LogitcaskError } from '../../src/errors.ts';
import { openFileStore } from '../../src/store/file.ts';
import type { Store } from '../../src/store/store.ts';
import { coded } from '../contracts/store.ts';

const file = 'data/kjv-tokenizer-8192.json';
const tokenizer = openTokenizer(readFileSync(file), file);
const width = 100;
const k = 3;

/** Lists that hang on all tokens before them and on nothing else. */
function rowsOf(tokens: Int32Array): ListRows {
  const n = tokens.length;
  const ids = new Uint32Array((n - 1) * k);
  const logprobs = new Float32Array((n - 1) * k);
  const labelLogprob = new Float32Array(n).fill(Number.NaN);
  let state = 7;
  for (let t = 0; t < n - 1; t++) {
    state = (state * 31 + tokens[t]) % 97;
    for (let i = 0; i < k; i++) {
      ids[t * k + i] = (state + i) % width;
      logprobs[t * k + i] = -1.5 - i - state / 100;
    }
    labelLogprob[t] = -state / 50 - 0.01;
  }
  const offsets = Uint32Array.from({ length: n + 1 }, (_, t) => k * Math.min(t, n - 1));
  return { form: 'lists', count: n, width, offsets, ids, logprobs, labelLogprob };
}

/** Takes three sequences at a time. */
function teacherOf(score: (tokens: Int32Array) => Promise<ListRows>): CacheOptions['teacher'] {
  return {
    fits: ({ length }) => length < 3,
    scoreAll: (sequences) => Promise.allSettled(sequences.map(score)),
  };
}

let folder = '';
let store: Store;
let asked: Int32Array[] = [];
let options: CacheOptions;
const caches: TeacherCache[] = [];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-live-'));
  store = await openFileStore(folder);
  asked = [];
  options = {
    store,
    folder: 'live/scores',
    name: 'teacher',
    identity: {
      name: 'm',
      revision: 'r',
      source: 'vllm',
      vocabulary: width,
      tokenizer: null,
      reports: 'top-list',
    },
    k,
    contextMax: 64,
    teacher: teacherOf(async (tokens) => {
      asked.push(tokens);
      await new Promise((resolve) => setTimeout(resolve, 2));
      return rowsOf(tokens);
    }),
    served: { model: 'm', tokenizer },
    concurrency: () => 4,
    limits: { waiting_max: 100, sequences_max: 1000, memory_bytes_max: 10_000 },
  };
});
afterEach(async () => {
  for (const cache of caches.splice(0)) await cache.close();
  await store.close();
  rmSync(folder, { recursive: true });
});

async function opened(more: Partial<CacheOptions> = {}): Promise<TeacherCache> {
  const cache = await TeacherCache.open({ ...options, ...more });
  caches.push(cache);
  return cache;
}

const tokens = (...ids: number[]) => Int32Array.from(ids);
const sequence = (seed: number, length: number) =>
  Int32Array.from({ length }, (_, i) => (seed * 13 + i * i * seed + i) % width);

describe('the live cache', () => {
  it('asks once, and answers the same afterwards, also when opened again', async () => {
    const cache = await opened();
    const first = await cache.score(sequence(3, 20), 'a');
    expect(first.origin).toBe('teacher');
    const second = await cache.score(sequence(3, 20), 'b');
    expect(second).toEqual({ ...first, origin: 'cache' });
    await cache.close();
    caches.pop();
    const again = await opened({ teacher: undefined });
    expect(await again.score(sequence(3, 20), 'c')).toEqual(second);
    expect(asked).toHaveLength(1);
  });

  it('answers every prefix of what it holds, as the teacher would', async () => {
    const cache = await opened();
    const whole = sequence(5, 30);
    await cache.score(whole, 'a');
    for (let n = 2; n <= 30; n++) {
      const { rows, origin } = await cache.score(whole.slice(0, n), 'a');
      expect(origin).toBe('cache');
      const alone = rowsOf(whole.slice(0, n));
      expect(rows).toEqual({ ...alone, tail: undefined });
    }
    expect(asked).toHaveLength(1);
    await cache.score(tokens(...whole.slice(0, 29), (whole[29] + 1) % width), 'a');
    expect(asked).toHaveLength(2);
  });

  it('shares a call between all who want the same at the same time', async () => {
    const cache = await opened();
    const all = await Promise.all(
      Array.from({ length: 1000 }, (_, i) => cache.score(sequence(i % 20, 12), `client ${i}`)),
    );
    const distinct = new Set(Array.from({ length: 20 }, (_, i) => sequence(i, 12).join()));
    expect(asked).toHaveLength(distinct.size);
    expect(all.filter(({ origin }) => origin === 'teacher')).toHaveLength(distinct.size);
    for (const [i, { rows }] of all.entries()) {
      expect(rows.logprobs).toEqual(rowsOf(sequence(i % 20, 12)).logprobs);
    }
  });

  it('lets a client of one sequence pass one of many', async () => {
    const cache = await opened({ concurrency: () => 1 });
    const order: string[] = [];
    const one = (client: string, seed: number) =>
      cache.score(sequence(seed, 9), client).then(() => order.push(client));
    const many = Array.from({ length: 30 }, (_, i) => one('many', i + 1));
    await Promise.all([...many, one('single', 40)]);
    expect(order.indexOf('single')).toBeLessThan(4);
  });

  it('refuses more than may wait, and goes on', async () => {
    const limits = { ...options.limits, waiting_max: 5 };
    const cache = await opened({ concurrency: () => 1, limits });
    const all = await Promise.allSettled(
      Array.from({ length: 12 }, (_, i) => cache.score(sequence(i + 1, 9), 'a')),
    );
    const refused = all.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    expect(refused.length).toBeGreaterThan(0);
    for (const error of refused) expect(error).toEqual(coded('too-many-requests'));
    expect((await cache.score(sequence(12, 9), 'a')).origin).toBe('teacher');
  });

  it('keeps nothing of a teacher that fails, and asks again', async () => {
    let isDown = true;
    const ask = async (asked: Int32Array) => {
      if (isDown) throw new LogitcaskError('teacher-unreachable', 'capture: down');
      return rowsOf(asked);
    };
    const cache = await opened({ teacher: teacherOf(ask) });
    await expect(cache.score(sequence(1, 9), 'a')).rejects.toEqual(coded('teacher-unreachable'));
    isDown = false;
    expect((await cache.score(sequence(1, 9), 'a')).origin).toBe('teacher');
    expect(cache.load.sequences).toBe(1);
  });

  it('offline says what is missing', async () => {
    const cache = await opened({ teacher: undefined });
    await expect(cache.score(sequence(1, 9), 'a')).rejects.toEqual(coded('sample-not-found'));
  });

  it('refuses ids outside V and lengths that the teacher cannot take', async () => {
    const cache = await opened();
    const refused = (ids: Int32Array) => expect(cache.score(ids, 'a')).rejects;
    await refused(tokens(1, 100)).toEqual(coded('token-out-of-range'));
    await refused(tokens(1, -1)).toEqual(coded('token-out-of-range'));
    await refused(tokens(1)).toEqual(coded('request-invalid'));
    await refused(sequence(1, 64)).toEqual(coded('request-invalid'));
  });
});
