import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { llamaGenerates, openaiGenerates, vllmGenerates } from '../support/replay-generator.ts';
import {
  type Answer,
  prompts,
  recordedK,
  startTeacher,
  vllmAnswer,
} from '../support/replay-teacher.ts';
import { run } from './program.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-doctor-'));
const texts = join(folder, 'texts.jsonl');
writeFileSync(texts, prompts.map((tokens) => `${JSON.stringify({ tokens })}\n`).join(''));
const tokenizer = 'bench/data/small-lm/tokenizer.json';
/** As vLLM refuses lists over --max-logprobs. */
const teacher = await startTeacher({
  answer: (body, path) => ('prompt_logprobs' in body ? vllmAnswer : vllmGenerates)(body, path),
  fault(request, reply) {
    const { prompt_logprobs: scored, top_logprobs: generated = 0 } = teacher.asked[request - 1];
    const k = (scored ?? generated) as number;
    if (k <= recordedK) return false;
    const message = `Requested logprobs of ${k}, which is greater than max allowed: 16`;
    reply.writeHead(400).end(JSON.stringify({ error: { message } }));
    return true;
  },
});
afterAll(async () => {
  await teacher.close();
  rmSync(folder, { recursive: true });
});
const doctor = (...args: string[]) =>
  run(['doctor', `vllm:${teacher.url}`, '--tokenizer', tokenizer, '--texts', texts, ...args]);

describe('logitcask doctor', () => {
  it('finds out what a server gives, in words and as JSON', async () => {
    const { code, stdout, stderr } = await doctor('--json');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const diagnosis = JSON.parse(stdout);
    expect(diagnosis).toMatchObject({
      version: 'vLLM 0.32.0',
      model: 'small-lm',
      context: 256,
      vocabulary: 8192,
      top_k: 8,
    });
    expect(diagnosis.top_k_refusal).toContain('greater than max allowed: 16');
    const { before, at, after } = diagnosis.alignment;
    expect(at).toBeGreaterThan(Math.max(before, after));
    expect(diagnosis.generation).toMatchObject({
      chat: true,
      top_k: 8,
      ids: 'server',
      prompt_ids: true,
      temperature_one: true,
    });
    const words = await doctor();
    expect(words.stdout).toContain('longest lists      8 entries a position');
    expect(words.stdout).toContain('best at 0');
    expect(words.stdout).toContain('answers prompts      conversations');
  });

  const bare: Answer = (body) => openaiGenerates({ ...body, top_logprobs: undefined as never });
  it.each<[string, string, Answer, string[], object, string]>([
    [
      "llama.cpp's server",
      'llama-cpp',
      llamaGenerates,
      [],
      { context: 256, top_k: 8, ids: 'server', prompt_ids: true, temperature_one: true },
      'longest lists      8 entries a generated token',
    ],
    [
      'an OpenAI-like one',
      'openai',
      openaiGenerates,
      ['--tokenizer', tokenizer],
      { context: null, top_k: 8, ids: 'tokenizer', prompt_ids: false, temperature_one: true },
      'told by the bytes of tokens',
    ],
    [
      'one that ignores logprobs',
      'openai',
      bare,
      ['--tokenizer', tokenizer],
      { top_k: 0, ids: 'none', temperature_one: null, top_k_refusal: expect.any(String) },
      'none: hard labels only',
    ],
  ])('says what %s gives, which scores no texts', async (_, type, answer, args, found, line) => {
    const server = await startTeacher({ answer });
    const address = `${type}:${server.url}`;
    const { stdout, stderr } = await run(['doctor', address, ...args, '--json']);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual({ generation: expect.objectContaining(found) });
    const words = await run(['doctor', address, ...args]);
    expect(words.stdout).toContain('scores given texts   no');
    expect(words.stdout).toContain(line);
    await server.close();
  });

  it.each([
    ['a teacher without an address', 'vllm', 'request-invalid'],
    ['a server that is not known', 'foo:http://127.0.0.1:1', 'request-invalid'],
  ])('refuses %s', async (_, address, code) => {
    const { code: exit, stderr } = await run(['doctor', address, '--tokenizer', tokenizer]);
    expect(exit).toBe(2);
    expect(stderr).toContain(`code: ${code}`);
  });
});

describe('logitcask build from a server', () => {
  it('stores what it scores, verifies it, and reuses it', async () => {
    const store = join(folder, 'store');
    const source = ['--source', 'vllm', '--url', teacher.url, '--texts', texts];
    const lists = ['--top-k', '16', '--k', '16', '--sample-length', '97'];
    const args = ['build', ...source, '--tokenizer', tokenizer, ...lists, '--store', store];
    const first = await run([...args, '--json']);
    expect(first.stderr).toBe('');
    const report = JSON.parse(first.stdout);
    expect(report.manifest.totals).toMatchObject({ samples: 4, positions: 388 });
    expect(report.manifest.target_sets[0]).toMatchObject({
      teacher: { name: 'small-lm', source: 'vllm', reports: 'top-list' },
      temperature_exact: false,
    });
    expect(JSON.stringify(report.manifest)).not.toContain(teacher.url);
    expect((await run(['verify', 'default', '--store', store])).code).toBe(0);
    const again = await run([...args, '--json']);
    expect(JSON.parse(again.stdout)).toMatchObject({ reused: true, snapshot: report.snapshot });
  });

  it('says that no server is there, after some attempts', async () => {
    const address = 'vllm:http://127.0.0.1:9';
    const { code, stderr } = await run(['doctor', address, '--tokenizer', tokenizer]);
    expect(code).toBe(1);
    expect(stderr).toContain('code: teacher-unreachable');
  }, 120_000);
});
