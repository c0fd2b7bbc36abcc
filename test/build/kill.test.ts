import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { random, writeDump } from '../support/dump.ts';

const cli = 'dist/src/cli.js';
const kills = 50;
let folder = '';
let args: readonly string[] = [];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-kill-'));
  writeDump(folder, { positions: 20_000, vocabulary: 512, sampleLength: 32 });
  const config = join(folder, 'build.yaml');
  const files = `{type: dump, logits: ${folder}/logits.npy, tokens: ${folder}/tokens.npy, sample_length: 32}`;
  const shard = '{bytes_max: 65536, batch_bytes_max: 16384}';
  const text = `source: ${files}\nshard: ${shard}\nreference: {positions: 200, entries: 64}\n`;
  writeFileSync(config, text);
  args = ['build', '--config', config];
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Build {
  readonly child: ChildProcess;
  /** Exit code, or null where it was killed; listened for from the start, so that it is not missed. */
  readonly ended: Promise<number | null>;
}

function start(store: string): Build {
  const command = [cli, ...args, '--store', join(folder, store)];
  const child = spawn(process.execPath, command, { stdio: 'ignore' });
  return { child, ended: new Promise((resolve) => child.on('close', resolve)) };
}

/** Digests of what readers can see: shards, indexes, snapshots, tags. */
function visible(store: string): Record<string, string> {
  const root = join(folder, store, 'default');
  const found: Record<string, string> = {};
  for (const part of ['files', 'snapshots', 'tags']) {
    for (const name of readdirSync(join(root, part), { recursive: true, encoding: 'utf8' })) {
      const path = join(root, part, name);
      if (name.startsWith('.') || !statSync(path).isFile()) continue;
      found[`${part}/${name}`] = createHash('sha256').update(readFileSync(path)).digest('hex');
    }
  }
  return found;
}

it(`leaves whole shards only when killed ${kills} times, and ends with the same bytes`, async () => {
  const whole = start('whole');
  const began = performance.now();
  expect(await whole.ended).toBe(0);
  const wholeMs = performance.now() - began;
  const expected = visible('whole');
  const next = random(7);
  let seen = 0;
  for (let kill = 0; kill < kills; kill++) {
    const store = `killed${kill % 10}`; // each store is killed several times in a row
    const { child, ended } = start(store);
    await wait(wholeMs * (0.3 + 0.7 * next()));
    child.kill('SIGKILL');
    await ended;
    for (const [name, digest] of Object.entries(safely(() => visible(store)))) {
      expect(expected[name], `${name} after kill ${kill}`).toBe(digest);
      seen++;
    }
  }
  expect(seen).toBeGreaterThan(kills); // otherwise the kills all came too early to mean anything
  for (let store = 0; store < 10; store++) {
    expect(await start(`killed${store}`).ended).toBe(0);
    expect(visible(`killed${store}`)).toEqual(expected);
    const names = readdirSync(join(folder, `killed${store}`), {
      recursive: true,
      encoding: 'utf8',
    });
    expect(names.filter((name) => name.includes('.tmp-'))).toEqual([]);
  }
}, 600_000);

function safely(list: () => Record<string, string>): Record<string, string> {
  try {
    return list();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}; // killed before any folder
    throw error;
  }
}
