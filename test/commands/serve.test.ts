import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readBatch } from '../../src/client/batch.ts';
import { writeDump } from '../support/dump.ts';
import { type Running, run, start } from './program.ts';

let folder = '';
let store = '';
let server: Running;
let url = '';
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-cli-serve-'));
  store = join(folder, 'store');
  writeDump(folder, { positions: 352, vocabulary: 96, sampleLength: 32 });
  const files = ['--logits', join(folder, 'logits.npy'), '--tokens', join(folder, 'tokens.npy')];
  await run(['build', ...files, '--sample-length', '32', '--k', '8', '--store', store]);
  server = start(['serve', '--store', store, '--port', '0']);
  [, url] = await server.printed(/listening on (http:\/\/127\.0\.0\.1:\d+)\n/);
});
afterAll(async () => {
  server.child.kill('SIGTERM');
  await server.ended;
  rmSync(folder, { recursive: true });
});

describe('logitcask pull', () => {
  it('pulls an epoch: every sample once, over ranks', async () => {
    const reports = await Promise.all(
      ['0', '1', '2'].map(async (rank) => {
        const order = ['--batch', '4', '--seed', '7', '--world', '3', '--rank', rank];
        const { code, stdout } = await run(['pull', url, 'default', ...order, '--json']);
        expect(code).toBe(0);
        return JSON.parse(stdout);
      }),
    );
    expect(reports.map(({ steps }) => steps)).toEqual([3, 3, 3]);
    expect(reports.reduce((sum, { samples }) => sum + samples, 0)).toBe(11);
    expect(reports.reduce((sum, { positions }) => sum + positions, 0)).toBe(352);
  });

  it('writes each batch as a whole Arrow stream, and never over another', async () => {
    const out = join(folder, 'batches');
    const args = ['pull', url, 'default', '--batch', '4', '--out', out];
    const { stdout } = await run(args);
    expect(stdout).toMatch(/^pulled 3 steps: 11 samples, 352 positions, .*every batch and frame/);
    const names = readdirSync(out).sort();
    expect(names).toEqual([0, 1, 2].map((s) => `epoch-0-step-0000000${s}-rank-0-of-1.arrows`));
    const before = names.map((name) => readFileSync(join(out, name)));
    expect(before.map((bytes) => readBatch(bytes).rows)).toEqual([4, 4, 3]);
    const again = await run(args);
    expect(again.code).toBe(1);
    expect(again.stderr).toContain('code: store-exists');
    expect(readdirSync(out).sort()).toEqual(names);
    expect(names.map((name) => readFileSync(join(out, name)))).toEqual(before);
  });

  it('pulls a plan by its id, in any layout', async () => {
    const made = await run(['pull', url, 'default', '--seed', '3', '--json']);
    const { plan } = JSON.parse(made.stdout);
    for (const layout of ['frames', 'plain', 'dense']) {
      const args = ['--plan', plan, '--layout', layout, '--epoch', '1', '--json'];
      const { stdout } = await run(['pull', url, 'default', ...args]);
      expect(JSON.parse(stdout)).toMatchObject({ plan, samples: 11, steps: 2 });
    }
    const other = await run(['pull', url, 'other', '--plan', plan]);
    expect(other.stderr).toContain('code: conflict');
  });

  it.each([
    ['a data set that is not there', ['none'], 'dataset-not-found', 2],
    [
      'a rank outside the world',
      ['default', '--rank', '2', '--world', '2'],
      'rank-out-of-range',
      2,
    ],
    ['a plan that is not there', ['default', '--plan', 'a'.repeat(64)], 'plan-not-found', 2],
  ])('refuses %s', async (_, args, code, exit) => {
    const ended = await run(['pull', url, ...args]);
    expect(ended).toMatchObject({ code: exit, stdout: '' });
    expect(ended.stderr).toContain(`code: ${code}\n`);
  });
});

describe('logitcask serve', () => {
  it('says where it listens as JSON, and stops gracefully', async () => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const running = start(['serve', '--port', '0', '--json'], { LOGITCASK_STORE: store });
      const [line] = await running.printed(/.*\n/);
      const { event, url: own } = JSON.parse(line);
      expect(event).toBe('listening');
      expect((await fetch(`${own}/healthz`)).status).toBe(200);
      running.child.kill(signal);
      const { code, stdout, stderr } = await running.ended;
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      const events = stdout
        .trim()
        .split('\n')
        .map((text) => JSON.parse(text).event);
      expect(events).toEqual(['listening', 'stopping', 'stopped']);
    }
  });

  it('refuses a port in use', async () => {
    const port = new URL(url).port;
    const ended = await run(['serve', '--store', store, '--port', port]);
    expect(ended).toMatchObject({ code: 1, stdout: '' });
    expect(ended.stderr).toContain('code: port-in-use');
  });

  it('takes tokens from its file, and pull gives its own from the environment', async () => {
    const config = join(folder, 'serve.yaml');
    const sha256 = createHash('sha256').update('secret').digest('hex');
    writeFileSync(config, `tokens: [{name: a, sha256: "${sha256}", scopes: [read]}]\nport: 0\n`);
    const running = start(['serve', '--config', config, '--store', store]);
    const [, own] = await running.printed(/listening on (\S+)/);
    const stranger = await run(['pull', own, 'default']);
    expect(stranger.stderr).toContain('code: unauthorized');
    const known = await run(['pull', own, 'default'], { LOGITCASK_TOKEN: 'secret' });
    expect(known.code).toBe(0);
    running.child.kill('SIGTERM');
    expect((await running.ended).code).toBe(0);
  });
});
