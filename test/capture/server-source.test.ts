import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { buildConfig } from '../../schemas/build-config.ts';
import { checkAlignment } from '../../src/capture/alignment.ts';
import { openServerSource } from '../../src/capture/server-source.ts';
import type { ListRows } from '../../src/distribution/rows.ts';
import { allChunks, describeSource } from '../contracts/source.ts';
import {
  type Answer,
  prompts,
  recorded,
  recordedK,
  sglangAnswer,
  startTeacher,
  type Teacher,
  type TeacherOptions,
  vllmAnswer,
} from '../support/replay-teacher.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-servers-'));
const texts = join(folder, 'texts.jsonl');
writeFileSync(texts, prompts.map((tokens) => `${JSON.stringify({ tokens })}\n`).join(''));
const open: Teacher[] = [];
afterAll(async () => {
  for (const teacher of open) await teacher.close();
  rmSync(folder, { recursive: true });
});

async function teacherOf(options: TeacherOptions): Promise<Teacher> {
  const teacher = await startTeacher(options);
  open.push(teacher);
  return teacher;
}

function sourceOf(type: 'vllm' | 'sglang', url: string, more: object = {}) {
  const tokenizer = 'bench/data/small-lm/tokenizer.json';
  const asked = {
    type,
    url,
    texts: [texts],
    tokenizer,
    top_k: recordedK,
    sample_length: 97,
    ...more,
  };
  return openServerSource(buildConfig.parse({ source: asked }).source as never);
}

const vllmTeacher = await teacherOf({ answer: vllmAnswer });
describeSource('vLLM', () => sourceOf('vllm', vllmTeacher.url));
const flat = await teacherOf({ answer: sglangAnswer('flat') });
describeSource('SGLang, flat', () => sourceOf('sglang', flat.url));
const nested = await teacherOf({ answer: sglangAnswer('nested') });
describeSource('SGLang, nested', () => sourceOf('sglang', nested.url));

async function rowsFrom(type: 'vllm' | 'sglang', url: string): Promise<ListRows[]> {
  const source = await sourceOf(type, url);
  return (await allChunks(source.chunks(0))).map(({ rows }) => rows as ListRows);
}

describe('a server that scores prompts', () => {
  it('has its rows read as the recorded reply has them, by plain JSON', async () => {
    const { response } = recorded('vllm-completions-prompt-logprobs') as never as {
      response: { choices: { prompt_logprobs: (Record<string, Entry> | null)[] }[] };
    };
    interface Entry {
      logprob: number;
      rank: number;
    }
    const all = await rowsFrom('vllm', vllmTeacher.url);
    for (const [i, rows] of all.entries()) {
      const recordedRows = response.choices[i].prompt_logprobs;
      for (let t = 0; t + 1 < rows.count; t++) {
        const row = Object.entries(recordedRows[t + 1]!);
        const kept = row.filter(([, { rank }]) => rank <= recordedK);
        const expected = kept
          .map(([id, { logprob }]) => [Number(id), Math.fround(logprob)])
          .sort(([a, p], [b, q]) => q - p || a - b);
        const [from, to] = [rows.offsets[t], rows.offsets[t + 1]];
        const got = [...rows.ids.subarray(from, to)].map((id, j) => [id, rows.logprobs[from + j]]);
        expect(got).toEqual(expected);
        const label = recordedRows[t + 1]![String(prompts[i][t + 1])].logprob;
        expect(rows.labelLogprob![t]).toBe(Math.fround(label));
      }
      expect(rows.offsets[rows.count]).toBe(rows.offsets[rows.count - 1]);
      expect(rows.labelLogprob![rows.count - 1]).toBeNaN();
    }
  });

  it('gives the same rows in either form of SGLang', async () => {
    const [a, b] = [await rowsFrom('sglang', flat.url), await rowsFrom('sglang', nested.url)];
    expect(a).toEqual(b);
  });

  it('keeps the order of the texts although replies come in another', async () => {
    let waiting: (() => void)[] = [];
    const teacher = await teacherOf({
      answer: vllmAnswer,
      fault(request, reply) {
        if (request <= 2) return false;
        waiting.push(() =>
          reply.end(JSON.stringify(vllmAnswer(teacher.asked[request - 1] as never))),
        );
        if (waiting.length === prompts.length) {
          for (const send of waiting.toReversed()) send();
          waiting = [];
        }
        return true;
      },
    });
    const source = await sourceOf('vllm', teacher.url);
    const chunks = await allChunks(source.chunks(0));
    expect(chunks.map(({ sample }) => [...sample.tokens])).toEqual(prompts);
  });

  it('is asked again after failures, and each text counts once', async () => {
    const faults: ((reply: ServerResponse) => void)[] = [
      (reply) => reply.writeHead(503).end('busy'),
      (reply) => reply.destroy(),
      (reply) => reply.writeHead(429, { 'retry-after': '0' }).end('{"detail":"slow down"}'),
      (reply) =>
        reply.writeHead(200, { 'content-length': '99999' }).end('{', () => reply.destroy()),
    ];
    const teacher = await teacherOf({
      answer: vllmAnswer,
      fault(request, reply) {
        const fault = request > 2 ? faults.shift() : undefined;
        fault?.(reply);
        return fault !== undefined;
      },
    });
    const chunks = await allChunks((await sourceOf('vllm', teacher.url)).chunks(0));
    expect(chunks.map(({ sample }) => [...sample.tokens])).toEqual(prompts);
    expect(teacher.asked.length).toBe(2 + prompts.length + 4);
  });

  const rowsChanged =
    (change: (rows: (object | null)[]) => void): Answer =>
    (body) => {
      const reply = structuredClone(vllmAnswer(body)) as {
        choices: { prompt_logprobs: (object | null)[] }[];
      };
      change(reply.choices[0].prompt_logprobs);
      return reply;
    };
  const capped = rowsChanged((rows) => {
    for (const row of rows) {
      for (const [id, entry] of Object.entries(row ?? {}))
        if (entry.rank > 5) delete (row as never)[id];
    }
  });
  const shifted = rowsChanged((rows) => {
    const after = rows.slice(2);
    rows.splice(1, rows.length - 1, ...after, after.at(-1)!);
  });

  it.each<[string, Answer, string, string]>([
    ['without log-probs', () => ({ choices: [{ text: 'x' }] }), 'teacher-unsuitable', 'none'],
    ['with fewer entries', capped, 'teacher-unsuitable', '--max-logprobs'],
    [
      'with a row too few',
      rowsChanged((rows) => void rows.pop()),
      'teacher-unsuitable',
      'lists for',
    ],
    [
      'with a row too many',
      rowsChanged((rows) => void rows.push(rows[1])),
      'teacher-unsuitable',
      'more',
    ],
    [
      'with a row for the first token',
      rowsChanged((rows) => void rows.shift()),
      'teacher-unsuitable',
      'null',
    ],
    [
      'with a null among its rows',
      rowsChanged((rows) => void rows.splice(5, 1, null)),
      'teacher-unsuitable',
      'null',
    ],
    [
      'with an empty row',
      rowsChanged((rows) => void rows.splice(5, 1, {})),
      'teacher-unsuitable',
      'empty',
    ],
    [
      'of other tokens',
      (body) => {
        const reply = structuredClone(vllmAnswer(body)) as {
          choices: { prompt_token_ids: number[] }[];
        };
        reply.choices[0].prompt_token_ids[3]++;
        return reply;
      },
      'teacher-unsuitable',
      'the tokens that were sent',
    ],
    ['that is no JSON', () => undefined, 'teacher-unsuitable', 'cannot be read'],
  ])('is refused at the first request: a reply %s', async (_, answer, code, text) => {
    const { url } = await teacherOf({ answer });
    await expect(sourceOf('vllm', url)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(text),
    });
  });

  it('is found out by the alignment self-test where its rows are shifted', async () => {
    const { url } = await teacherOf({ answer: shifted });
    const source = await sourceOf('vllm', url);
    await expect(checkAlignment(source)).rejects.toMatchObject({ code: 'source-misaligned' });
  });

  it.each(['NaN', '0.5', '-99999'])('checks a log-prob of %s', async (value) => {
    const { url } = await teacherOf({
      answer: vllmAnswer,
      fault(request, reply) {
        const body = JSON.stringify(vllmAnswer(open.at(-1)!.asked[request - 1] as never));
        const entry = /("prompt_logprobs":\[null,.*?"rank":2,.*?"logprob":)(-[\d.]+)(,"rank":1,)/s;
        reply.end(body.replace(entry, `$1${value}$3`));
        return true;
      },
    });
    const code = value === '0.5' ? 'row-invalid' : 'teacher-unsuitable';
    await expect(sourceOf('vllm', url)).rejects.toMatchObject({ code });
  });

  it('passes on what it says when it refuses', async () => {
    for (const name of ['vllm-error-too-long', 'vllm-error-unknown-model']) {
      const { http_status, body } = recorded(name).response as never as {
        http_status: number;
        body: { error: { message: string } };
      };
      const { url } = await teacherOf({
        answer: vllmAnswer,
        fault: (_, reply) => {
          reply.writeHead(http_status).end(JSON.stringify(body));
          return true;
        },
      });
      await expect(sourceOf('vllm', url)).rejects.toMatchObject({
        code: 'teacher-refused',
        message: expect.stringContaining(body.error.message),
      });
    }
  });

  it('is refused where samples do not fit its context, or no server is there', async () => {
    const { url } = vllmTeacher;
    await expect(sourceOf('vllm', url, { sample_length: 256 })).rejects.toMatchObject({
      code: 'config-invalid',
      expected: 'at most 255',
    });
  });
});
