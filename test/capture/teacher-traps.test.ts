/** What servers really do: each would spoil a data set in silence, and has a guard. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { buildConfig } from '../../schemas/build-config.ts';
import { checkAlignment } from '../../src/capture/alignment.ts';
import { createReplyReader } from '../../src/capture/reply-reader.ts';
import { decodeScored } from '../../src/capture/scored.ts';
import { openServerSource } from '../../src/capture/server-source.ts';
import type { ListRows } from '../../src/distribution/rows.ts';
import { allChunks } from '../contracts/source.ts';
import { coded } from '../contracts/store.ts';
import {
  type Answer,
  prompts,
  recordedK,
  sglangAnswer,
  startTeacher,
  type Teacher,
  type TeacherOptions,
  vllmAnswer,
} from '../support/replay-teacher.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-traps-'));
const open: Teacher[] = [];
afterAll(async () => {
  for (const teacher of open) await teacher.close();
  rmSync(folder, { recursive: true });
});

type Entry = { logprob: number; rank?: number };
interface Reply {
  choices: { prompt_logprobs: (Record<string, Entry> | null)[]; prompt_token_ids: number[] }[];
}

/** vLLM's answer, changed: to the probes as well, or only to what comes behind them. */
function changed(
  change: (choice: Reply['choices'][0], body: { prompt: number[] }) => void,
  from = 0,
): Answer {
  let request = 0;
  return (body) => {
    const reply = structuredClone(vllmAnswer(body)) as Reply;
    if (request++ >= from) change(reply.choices[0], body as never);
    return reply;
  };
}

let files = 0;
async function sourceOf(
  answer: Answer | TeacherOptions,
  {
    type = 'vllm',
    texts = prompts,
    ...more
  }: { type?: string; texts?: readonly number[][]; [key: string]: unknown } = {},
) {
  const teacher = await startTeacher(typeof answer === 'function' ? { answer } : answer);
  open.push(teacher);
  const file = join(folder, `texts${files++}.jsonl`);
  writeFileSync(file, texts.map((tokens) => `${JSON.stringify({ tokens })}\n`).join(''));
  const source = {
    type,
    url: teacher.url,
    texts: [file],
    tokenizer: 'bench/data/small-lm/tokenizer.json',
    top_k: recordedK,
    sample_length: 97,
    ...more,
  };
  return openServerSource(buildConfig.parse({ source }).source as never);
}

/** Texts of any number: the recorded prompts and their beginnings. */
const texts = Array.from({ length: 60 }, (_, i) => prompts[i % 4].slice(0, 97 - (i >> 2)));

describe('a trap of vLLM', () => {
  it('caps k: what it gives is said, and what to start it with', async () => {
    const capped = changed(({ prompt_logprobs: rows }) => {
      for (const row of rows) {
        for (const [id, { rank }] of Object.entries(row ?? {})) if (rank! > 5) delete row![id];
      }
    });
    await expect(sourceOf(capped)).rejects.toMatchObject({
      code: 'teacher-unsuitable',
      message: expect.stringMatching(/vLLM 0\.32\.0 gives 5 entries .* --max-logprobs/),
    });
  });

  it('answers 200 without log-probs: the server is named, and what to do', async () => {
    for (const answer of [
      () => ({ choices: [{ text: 'x' }] }),
      changed((choice) => Object.assign(choice, { prompt_logprobs: null })),
    ]) {
      await expect(sourceOf(answer)).rejects.toMatchObject({
        code: 'teacher-unsuitable',
        message: expect.stringMatching(
          /prompt_logprobs.*vLLM 0\.32\.0 with small-lm.*--max-logprobs/,
        ),
      });
    }
  });

  it('truncates the prompt, at either end', async () => {
    const cuts: Parameters<typeof changed>[0][] = [
      (choice) => {
        choice.prompt_logprobs.length = 20;
        choice.prompt_token_ids = choice.prompt_token_ids.slice(0, 20);
      },
      (choice) => {
        choice.prompt_logprobs = [null, ...choice.prompt_logprobs.slice(-19)];
        choice.prompt_token_ids = choice.prompt_token_ids.slice(-20);
      },
      (choice) => {
        choice.prompt_logprobs.length = 20;
      },
    ];
    for (const cut of cuts) {
      await expect(sourceOf(changed(cut))).rejects.toMatchObject({ code: 'teacher-unsuitable' });
    }
  });

  it('sends rows of other tokens with the same number', async () => {
    const other = changed((choice) => {
      choice.prompt_token_ids = choice.prompt_token_ids.map((id) => id + 1);
    });
    await expect(sourceOf(other)).rejects.toThrowError(coded('teacher-unsuitable'));
  });

  it('shifts its rows by one, either way', async () => {
    const late = changed(({ prompt_logprobs: rows }) => {
      rows.splice(1, rows.length - 1, ...rows.slice(2), rows.at(-1)!);
    });
    const early = changed(({ prompt_logprobs: rows }) => {
      rows.splice(1, rows.length - 1, rows[1], ...rows.slice(1, -1));
    });
    for (const shifted of [late, early]) {
      const check = async () => checkAlignment(await sourceOf(shifted));
      await expect(check()).rejects.toThrowError(coded('source-misaligned'));
    }
  });

  it('is no causal model: its rows hang on later tokens', async () => {
    const answer = changed(({ prompt_logprobs: rows }, { prompt }) => {
      for (const row of rows) {
        for (const entry of Object.values(row ?? {})) entry.logprob -= (prompt.at(-1)! % 7) + 1;
      }
    });
    await expect(sourceOf(answer)).rejects.toThrowError(coded('source-misaligned'));
  });

  it('leaves ranks out', async () => {
    const answer = changed(({ prompt_logprobs: rows }) => {
      for (const entry of Object.values(rows[7]!)) delete entry.rank;
    });
    await expect(sourceOf(answer)).rejects.toThrowError(coded('teacher-unsuitable'));
  });

  it('sends a short row later on: it stays short, its mass is not filled up', async () => {
    const answer = changed(({ prompt_logprobs: rows }) => {
      for (const [id, { rank }] of Object.entries(rows[7]!)) if (rank! > 3) delete rows[7]![id];
    }, 2);
    const [first] = await allChunks((await sourceOf(answer)).chunks(0));
    const { offsets } = first.rows as ListRows;
    expect([...offsets.subarray(5, 9)].map((to, i) => to - offsets[4 + i])).toEqual([
      16, 16, 3, 16,
    ]);
  });

  it('clamps log-probs at −9999: nothing of that is kept', async () => {
    const answer = changed(({ prompt_logprobs: rows }, { prompt }) => {
      for (const entry of Object.values(rows[7]!)) if (entry.rank! > 3) entry.logprob = -9999;
      rows[7]![prompt[7]] = { logprob: -9999, rank: 8000 };
    }, 2);
    const [first] = await allChunks((await sourceOf(answer)).chunks(0));
    const { offsets, labelLogprob } = first.rows as ListRows;
    expect(offsets[7] - offsets[6]).toBeLessThanOrEqual(3);
    expect(labelLogprob![6]).toBe(Number.NEGATIVE_INFINITY);
  });
});

describe('a trap of SGLang', () => {
  interface Meta {
    input_token_logprobs?: (number | null)[][];
    input_top_logprobs?: ((number | null)[][] | null)[];
    input_top_logprobs_shape: number[];
    input_top_logprobs_null_prefix: number;
  }
  const changedMeta = (form: 'flat' | 'nested', change: (meta: Meta) => void): Answer => {
    return (body) => {
      const reply = structuredClone(sglangAnswer(form)(body)) as { meta_info: Meta };
      change(reply.meta_info);
      return reply;
    };
  };
  it.each<[string, Answer, string]>([
    ['no log-probs', changedMeta('flat', (meta) => delete meta.input_token_logprobs), 'SGLang'],
    ['no lists', changedMeta('nested', (meta) => delete meta.input_top_logprobs), 'SGLang'],
    ['only the output', changedMeta('flat', (meta) => (meta.input_token_logprobs = [])), 'tokens'],
    ['a cut prompt', changedMeta('flat', (meta) => meta.input_token_logprobs!.pop()), 'tokens'],
    ['other tokens', changedMeta('flat', (meta) => meta.input_token_logprobs![3][1]!++), 'token 3'],
    [
      'a shape that is not that of its arrays',
      changedMeta('flat', (meta) => meta.input_top_logprobs_shape[0]--),
      'flat arrays',
    ],
    [
      'a list too few',
      changedMeta('nested', (meta) => meta.input_top_logprobs!.splice(9, 1, null)),
      'row 9',
    ],
    [
      'no number',
      changedMeta('nested', (meta) => (meta.input_top_logprobs![9]![2][0] = null)),
      'numbers',
    ],
  ])('is %s', async (_, answer, words) => {
    await expect(sourceOf(answer, { type: 'sglang' })).rejects.toMatchObject({
      code: 'teacher-unsuitable',
      message: expect.stringContaining(words),
    });
  });

  it('is another place of its flat rows', async () => {
    const answer = changedMeta('flat', (meta) => {
      meta.input_top_logprobs_null_prefix = 2;
    });
    await expect(sourceOf(answer, { type: 'sglang' })).rejects.toMatchObject({
      code: 'teacher-unsuitable',
    });
  });
});

describe('large replies', () => {
  const big = (() => {
    const { choices } = vllmAnswer({
      prompt: prompts[0],
      return_token_ids: true,
    } as never) as Reply;
    const [{ prompt_logprobs: rows, prompt_token_ids: ids }] = choices;
    const tokens = Array.from({ length: 5 }, () => ids).flat();
    const all = Array.from({ length: 5 }, (_, i) => (i === 0 ? rows : [rows[1], ...rows.slice(1)]));
    return {
      tokens: Int32Array.from(tokens),
      reply: { choices: [{ prompt_logprobs: all.flat(), prompt_token_ids: tokens }] },
    };
  })();
  const bytesOf = (reply: unknown) => new Uint8Array(Buffer.from(JSON.stringify(reply)));

  it('are read in a thread, to the same rows, and its refusals keep their code', async () => {
    const reader = createReplyReader();
    const asked = { tokens: big.tokens, k: recordedK, width: 8192 };
    const reply = bytesOf(big.reply);
    const record = await reader.read({ server: 'vllm', reply, asked });
    expect(reply.byteLength).toBe(0); // it was sent on, not copied
    const { rows, tokens } = decodeScored(record);
    expect(tokens).toEqual(big.tokens);
    expect(rows.offsets.at(-1)).toBe((tokens.length - 1) * recordedK);
    const other = structuredClone(big.reply);
    other.choices[0].prompt_token_ids[400]++;
    const refused = reader.read({ server: 'vllm', reply: bytesOf(other), asked });
    await expect(refused).rejects.toThrowError(coded('teacher-unsuitable'));
    const cut = bytesOf(big.reply).slice(0, -9);
    const broken = reader.read({ server: 'vllm', reply: cut, asked });
    await expect(broken).rejects.toThrowError(coded('teacher-unsuitable'));
    await reader.close();
  });
});

describe('the pace of requests', () => {
  /** Answers after `ms`, and refuses more than `takes` at once. */
  function paced(takes: number, ms: number) {
    const seen = { underWay: 0, most: 0, refused: 0, answered: 0 };
    const options: TeacherOptions = {
      answer: vllmAnswer,
      fault(_, reply) {
        if (seen.underWay >= takes) {
          seen.refused++;
          reply.writeHead(429).end('{"detail":"too many"}');
          return true;
        }
        seen.most = Math.max(seen.most, ++seen.underWay);
        const { asked } = open.at(-1)!;
        const body = asked.at(-1) as never;
        wait(ms).then(() => {
          seen.underWay--;
          seen.answered++;
          reply.end(JSON.stringify(vllmAnswer(body)));
        });
        return true;
      },
    };
    return { seen, options };
  }

  it('rises to what was allowed where the server takes it, and no further', async () => {
    const { seen, options } = paced(100, 10);
    const source = await sourceOf(options, { texts, concurrency: 9 });
    expect(await allChunks(source.chunks(0))).toHaveLength(texts.length);
    expect([seen.most, seen.answered]).toEqual([9, 2 + texts.length]);
  });

  it('falls to what the server takes: each text is answered once', async () => {
    const { seen, options } = paced(3, 5);
    const source = await sourceOf(options, { texts, concurrency: 16 });
    const chunks = await allChunks(source.chunks(0));
    expect(chunks.map(({ sample }) => [...sample.tokens])).toEqual(texts);
    expect(seen.answered).toBe(2 + texts.length);
    expect(seen.refused).toBeGreaterThan(0);
    expect(seen.refused).toBeLessThan(texts.length);
  });

  it('asks once for texts that come again', async () => {
    const { seen, options } = paced(100, 5);
    const again = [...texts.slice(0, 5), ...texts.slice(0, 5)];
    const source = await sourceOf(options, { texts: again, concurrency: 16 });
    const records: Uint8Array[] = [];
    await source.keepIn!(async () => ({
      append: async (record) => records.push(record),
      read: async (offset) => records[offset - 1],
    }));
    const chunks = await allChunks(source.chunks(0));
    expect(chunks.map(({ sample }) => [...sample.tokens])).toEqual(again);
    expect([seen.answered, records.length]).toEqual([2 + 5, 5]);
    expect(await allChunks(source.chunks(0))).toEqual(chunks);
    expect(seen.answered).toBe(2 + 5);
  });

  it('says how much of the input is done', async () => {
    const source = await sourceOf(vllmAnswer, { texts });
    let last = 0;
    let done = 0;
    const total = texts.flat().length;
    for await (const { rows } of source.chunks(0)) {
      done += rows.count;
      expect(source.share!()).toBeGreaterThanOrEqual(last);
      last = source.share!();
      expect(Math.abs(last - done / total)).toBeLessThan(0.2);
    }
    expect(last).toBe(1);
    const few = await sourceOf(vllmAnswer, { texts, samples: 4 });
    for await (const { sample } of few.chunks(0)) {
      expect(few.share!()).toBe((sample.ordinal + 1) / 4);
    }
  });
});
