import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask as askAt, type Question } from '../fixtures.ts';
import { writeDump } from '../support/dump.ts';
import { run, start } from './program.ts';

let folder = '';
let store = '';
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-cli-log-'));
  store = join(folder, 'store');
  writeDump(folder, { positions: 96, vocabulary: 96, sampleLength: 32 });
  const files = ['--logits', join(folder, 'logits.npy'), '--tokens', join(folder, 'tokens.npy')];
  await run(['build', ...files, '--sample-length', '32', '--k', '8', '--store', store]);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What a server wrote to standard error, line by line, while it was asked. */
async function logged(
  log: string,
  use: (ask: (path: string, question?: Question) => ReturnType<typeof askAt>) => Promise<void>,
): Promise<{ lines: Record<string, unknown>[]; stderr: string; stdout: string }> {
  const config = join(folder, 'serve.yaml');
  const sha256 = createHash('sha256').update('secret-token').digest('hex');
  const tokens = `tokens: [{name: nobodys-name, sha256: "${sha256}", scopes: [read, write]}]`;
  writeFileSync(config, `${tokens}\nport: 0\n${log}`);
  const server = start(['serve', '--config', config, '--store', store, '--json']);
  const [line] = await server.printed(/.*\n/);
  const { url } = JSON.parse(line);
  const authorization = 'Bearer secret-token';
  await use((path, question = {}) => {
    return askAt(url, path, { ...question, headers: { authorization, ...question.headers } });
  });
  server.child.kill('SIGTERM');
  const { code, stderr, stdout } = await server.ended;
  expect(code).toBe(0);
  const lines = stderr
    .split('\n')
    .filter((text) => text !== '')
    .map((text) => JSON.parse(text));
  return { lines, stderr, stdout };
}

describe('the log of the server', () => {
  it('has one line a request, and nothing of what was asked or by whom', async () => {
    const body = JSON.stringify({ streams: [{ dataset: 'a-secret-prompt' }] });
    const json = { 'content-type': 'application/json' };
    const answers: Awaited<ReturnType<typeof askAt>>[] = [];
    const { lines, stderr, stdout } = await logged('log: {level: info}', async (ask) => {
      answers.push(await ask('/v1/datasets?limit=7', { headers: { 'x-request-id': 'mine.1' } }));
      answers.push(await ask('/v1/plans', { method: 'POST', body, headers: json }));
      answers.push(
        await ask('/v1/plans', { method: 'POST', body: '{"a-secret-prompt', headers: json }),
      );
      answers.push(await ask('/a-secret-path?key=a-secret-key'));
      answers.push(
        await ask('/v1/datasets', { headers: { authorization: 'Bearer a-secret-key' } }),
      );
      answers.push(await ask('/%zz'));
      await ask('/healthz');
    });
    const requests = lines.filter(({ msg }) => msg === 'request');
    expect(
      requests.map(({ method, route, status, code }) => [method, route, status, code]),
    ).toEqual([
      ['GET', '/v1/datasets', 200, undefined],
      ['POST', '/v1/plans', 404, 'dataset-not-found'],
      ['POST', '/v1/plans', 400, 'request-invalid'],
      ['GET', null, 404, 'route-not-found'],
      ['GET', '/v1/datasets', 401, 'unauthorized'],
    ]);
    for (const [i, line] of requests.entries()) {
      expect(line).toMatchObject({ level: 'info', request_id: answers[i].headers['x-request-id'] });
      expect(Number(line.ms)).toBeGreaterThan(0);
      expect(Number(line.bytes)).toBeGreaterThan(answers[i].body.byteLength);
      expect(Date.parse(`${line.time}`)).toBeGreaterThan(Date.now() - 600_000);
    }
    expect(requests[0].request_id).toBe('mine.1');
    expect(answers.at(-1)?.headers['x-request-id']).toMatch(/^[0-9a-f]{12}-/);
    expect(stderr).not.toMatch(/secret|limit=7|nobodys-name|authorization|bearer/i);
    const events = stdout.trim().split('\n');
    expect(events.map((text) => JSON.parse(text).event)).toEqual([
      'listening',
      'stopping',
      'stopped',
    ]);
  });

  it('has only what failed on its own side by default, with the code that the client saw', async () => {
    const shards = join(store, 'default', 'files');
    const { lines } = await logged('', async (ask) => {
      await ask('/v1/datasets');
      await ask('/v1/datasets/none');
      for (const name of readdirSync(shards).filter((name) => name.endsWith('.arrow'))) {
        truncateSync(join(shards, name), 10);
      }
      const rows = '/v1/datasets/default/snapshots/latest/rows';
      expect((await ask(rows)).status).toBe(500);
    });
    expect(lines).toEqual([
      expect.objectContaining({
        level: 'error',
        msg: 'request',
        route: '/v1/datasets/:dataset/snapshots/:snapshot/rows',
        status: 500,
        code: 'shard-damaged',
      }),
    ]);
  });
});
