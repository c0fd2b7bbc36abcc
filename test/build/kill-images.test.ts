import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, watch } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { sha256Hex } from '../../src/formats/canonical.ts';
import { random } from '../support/dump.ts';
import { writeImages } from '../support/images.ts';

const cli = 'dist/src/cli.js';
const count = 200;
const kills = 3;
let folder = '';
let args: readonly string[] = [];
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-kill-images-'));
  const next = random(3);
  const image = () => ({ bytes: Uint8Array.from({ length: 2000 }, () => 256 * next()) });
  const { source } = writeImages(folder, 'in', { samples: Array.from({ length: count }, image) });
  args = ['build', '--images', String(source.images), '--scores', String(source.scores)];
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Builds; with `folders`, is killed once so many new folders of images are there. */
async function run(store: string, folders?: number): Promise<number | null> {
  const images = join(folder, store, 'default', 'images');
  mkdirSync(images, { recursive: true });
  const command = [cli, ...args, '--store-images', '--store', join(folder, store)];
  const child = spawn(process.execPath, command, { stdio: 'ignore' });
  const seen = new Set<string | null>();
  const watcher = watch(images, (_, name) => {
    if (seen.add(name).size === folders) child.kill('SIGKILL');
  });
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  watcher.close();
  return code;
}

/** Images that readers can see, each proved, and what crashed writers left. */
function images(store: string): { whole: string[]; left: string[] } {
  const root = join(folder, store, 'default', 'images');
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.includes('/'),
  );
  const whole = files.map((name) => basename(name)).filter((name) => !name.startsWith('.'));
  for (const name of whole) {
    expect(sha256Hex(readFileSync(join(root, name.slice(0, 2), name)))).toBe(name);
  }
  return { whole: whole.sort(), left: files.filter((name) => name.includes('/.')) };
}

const snapshots = (store: string) => readdirSync(join(folder, store, 'default', 'snapshots'));

it('a build that is killed while it copies images leaves whole ones, and goes on', async () => {
  expect(await run('whole')).toBe(0);
  const expected = images('whole').whole;
  expect(expected).toHaveLength(count);
  let before = 0;
  for (let kill = 0; kill < kills; kill++) {
    expect(await run('killed', 20)).toBeNull();
    const { length } = images('killed').whole;
    expect(length).toBeGreaterThan(before);
    expect(length).toBeLessThan(count);
    before = length;
    expect(readdirSync(join(folder, 'killed', 'default'))).not.toContain('snapshots');
  }
  expect(await run('killed')).toBe(0);
  expect(images('killed')).toEqual({ whole: expected, left: [] });
  expect(snapshots('killed')).toEqual(snapshots('whole'));
}, 120_000);
