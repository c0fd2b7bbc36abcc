import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeStore, serve, type TestStore } from '../fixtures.ts';
import { run } from './program.ts';

let made: TestStore;
let url = '';
let stop: () => Promise<void>;
let store = '';
beforeAll(async () => {
  made = await makeStore();
  store = join(made.folder, 'store');
  ({ url, close: stop } = await serve(made.store));
});
afterAll(async () => {
  await stop();
  await made.remove();
});

const json = async (...args: string[]) => {
  const { code, stdout, stderr } = await run([...args, '--json']);
  return { code, stderr, ...JSON.parse(stdout === '' ? '{}' : stdout) };
};

describe('logitcask plan', () => {
  it('makes the same plan from the store and through a server, and shows it', async () => {
    const asked = ['plan', 'create', 'planes@latest:repeat=2', '--batch', '4', '--seed', '3'];
    const [here, there] = [
      await json(...asked, '--store', store),
      await json(...asked, '--url', url),
    ];
    expect(there).toEqual(here);
    expect(here.items_per_epoch).toBe(202);
    const text = await run(['plan', 'show', here.plan, '--store', store]);
    expect(text.stdout).toContain(`plan ${here.plan}`);
    expect(text.stdout).toContain('51 steps of 4 samples, 202 in all');
  });

  it('takes shuffle, filters and packs', async () => {
    const filters = ['--min-positions', '2', '--max-positions', '64', '--min-learned', '1'];
    const packs = ['--pack', '100', '--window', '4', '--shuffle', 'block:8', '--tail', 'pad'];
    const reply = await json('plan', 'create', 'planes', ...filters, ...packs, '--store', store);
    expect(reply.rules).toEqual({
      filter: { positions: { min: 2, max: 64 }, learned: { min: 1 } },
      packing: { length: 100, window: 4 },
    });
    expect(reply.identity.shuffle).toEqual({ mode: 'block', block: 8 });
    const text = await run(['plan', 'show', reply.plan, '--url', url]);
    expect(text.stdout).toMatch(/packs of 100 positions/);
    expect(text.stdout).toMatch(/packing {3}[\d.]+ % of the positions hold one of a sample/);
  });

  it('proves what was pulled, finds the step that differs, and compares runs', async () => {
    const { plan } = await json('plan', 'create', 'planes', '--seed', '9', '--store', store);
    const runs = ['a', 'b'].map((name) => join(made.folder, name));
    for (const folder of runs) mkdirSync(folder);
    const pull = (file: string, ...more: string[]) =>
      run(['pull', url, 'planes', '--plan', plan, '--record', file, ...more]);
    await pull(join(runs[0], 'rank-0.jsonl'));
    for (const rank of ['0', '1', '2']) {
      await pull(join(runs[1], `rank-${rank}.jsonl`), '--rank', rank, '--world', '3');
    }
    const same = await json('plan', 'compare', ...runs);
    expect(same).toMatchObject({ code: 0, compared: 13, missing: [0, 0], difference: null });
    for (const place of [
      ['--store', store],
      ['--url', url],
    ]) {
      const proof = await json('plan', 'prove', runs[1], ...place);
      expect(proof).toMatchObject({ code: 0, steps: 13, rows: 101, difference: null });
    }
    const file = join(runs[0], 'rank-0.jsonl');
    const lines = readFileSync(file, 'utf8').trim().split('\n');
    const wrong = JSON.parse(lines[6]);
    wrong.ids.reverse();
    appendFileSync(file, `${JSON.stringify(wrong)}\n`);
    const proof = await json('plan', 'prove', file, '--store', store);
    expect(proof).toMatchObject({ code: 1, difference: { plan, epoch: 0, step: 6 } });
    expect(proof.stderr).toContain('1 lines were received again after a restart');
    const other = await json('plan', 'compare', ...runs);
    expect(other).toMatchObject({ code: 1, difference: { epoch: 0, step: 6, row: 0 } });
  });

  it.each([
    ['create', ['planes:parts=2'], 'request-invalid', 'planes:parts=2 names no data set'],
    ['create', ['none'], 'dataset-not-found', 'none'],
    ['create', ['planes', '--window', '3'], 'request-invalid', '--window goes with --pack'],
    ['create', ['planes', '--shuffle', 'blocks'], 'request-invalid', 'none, global or block:N'],
    [
      'create',
      ['planes', '--min-positions', '3', '--max-positions', '2'],
      'request-invalid',
      'min',
    ],
    ['show', ['x'], 'plan-not-found', 'there is no plan x'],
    ['prove', ['none.jsonl'], 'source-unreadable', 'none.jsonl'],
  ])('refuses %s %s', async (verb, args, code, text) => {
    const { code: exit, stderr } = await run(['plan', verb, ...args, '--store', store]);
    expect(exit).toBe(2);
    expect(stderr).toContain(`code: ${code}`);
    expect(stderr).toContain(text);
  });

  it('refuses runs that are no records', async () => {
    const file = join(made.folder, 'broken.jsonl');
    writeFileSync(file, '{"plan": 1}\n');
    const { code, stderr } = await run(['plan', 'compare', file, file]);
    expect(code).toBe(2);
    expect(stderr).toContain('broken.jsonl:1 is no line of a run');
  });
});
