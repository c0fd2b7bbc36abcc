import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openFileStore } from '../../src/store/file.ts';
import { acquireLock } from '../../src/store/lock.ts';
import type { Store } from '../../src/store/store.ts';
import { coded } from '../contracts/store.ts';

let folder = '';
let store: Store;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-lock-'));
  store = await openFileStore(folder);
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

const owned = (owner: { host?: string; pid: number }) =>
  store.write('lock', Buffer.from(JSON.stringify({ host: hostname(), token: 'x', ...owner })));

it('is held by one at a time, and free once released', async () => {
  const lock = await acquireLock(store, 'lock');
  await expect(acquireLock(store, 'lock')).rejects.toThrowError(coded('build-running'));
  await lock.release();
  await (await acquireLock(store, 'lock')).release();
  expect(await store.list('')).toEqual([]);
});

it('is won by one of many that ask at once', async () => {
  const results = await Promise.allSettled(
    Array.from({ length: 10 }, () => acquireLock(store, 'lock')),
  );
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
});

it('is taken over from a dead process of this machine', async () => {
  await owned({ pid: spawnSync('true').pid });
  await (await acquireLock(store, 'lock')).release();
});

it('is taken over from a process that had the same pid before a restart', async () => {
  await owned({ pid: process.pid });
  await (await acquireLock(store, 'lock')).release();
});

it('is left with a living process, and with any on another machine; the error names it', async () => {
  for (const owner of [{ pid: process.ppid }, { host: 'elsewhere', pid: spawnSync('true').pid }]) {
    await owned(owner);
    await expect(acquireLock(store, 'lock')).rejects.toThrowError(
      expect.objectContaining({
        code: 'build-running',
        message: expect.stringContaining(`process ${owner.pid} on`),
      }),
    );
  }
});
