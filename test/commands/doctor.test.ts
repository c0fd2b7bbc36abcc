import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { prompts, recordedK, startTeacher, vllmAnswer } from '../support/replay-teacher.ts';
import { run } from './program.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-doctor-'));
const texts = join(folder, 'texts.jsonl');
writeFileSync(texts, prompts.map((tokens) => `${JSON.stringify({ tokens })}\n`).join(''));
const tokenizer = 'bench/data/small-lm/tokenizer.json';
/** As vLLM refuses lists over --max-logprobs. */
const teacher = await startTeacher({
  answer: vllmAnswer,
  fault(request, reply) {
    const k = teacher.asked[request - 1].prompt_logprobs as number;
    if (k <= recordedK) return false;
    const message = `Requested prompt logprobs of ${k}, which is greater than max allowed: 16`;
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
    const words = await doctor();
    expect(words.stdout).toContain('longest lists        8 entries');
    expect(words.stdout).toContain('best at 0');
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
