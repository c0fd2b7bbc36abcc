import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createStatusWriter } from '../../src/build/status.ts';
import { build } from '../../src/build.ts';
import { readBuildStatus } from '../../src/shard/snapshot.ts';
import type { Store } from '../../src/store/store.ts';
import { openStore } from '../../src/store/table.ts';
import { configOf, writeDump } from '../support/dump.ts';

let folder = '';
let store: Store;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-status-'));
  store = await openStore(join(folder, 'store'));
});
afterEach(async () => {
  vi.useRealTimers();
  await store.close();
  rmSync(folder, { recursive: true });
});

describe('the status of a build', () => {
  it('is written every few seconds, and at once where the state is another', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 1_000_000 });
    const writer = createStatusWriter(store, { dataset: 'a', build: 'b' });
    const read = async () => (await readBuildStatus(store, 'a'))[0];
    await writer.write({ positionsTotal: 90 });
    await writer.progress({ positions: 30 });
    expect(await read()).toMatchObject({ positions: 0, positionsTotal: 90, updatedMs: 1_000_000 });
    vi.setSystemTime(1_002_000);
    await writer.progress({ positions: 60 });
    expect(await read()).toMatchObject({ positions: 60, positionsTotal: 90, updatedMs: 1_002_000 });
    await writer.write({ state: 'failed', error: 'internal' });
    expect(await read()).toMatchObject({ state: 'failed', positions: 60 });
  });

  it('tells how much there will be while the build runs', async () => {
    const { source } = writeDump(folder, { positions: 96, vocabulary: 64, sampleLength: 32 });
    const config = configOf({ store: join(folder, 'store'), dataset: 'a', source });
    const statuses: Promise<unknown>[] = [];
    await build(config, {
      dataFolder: 'data',
      onProgress: () => statuses.push(readBuildStatus(store, 'a')),
    });
    const [first] = (await Promise.all(statuses)) as [unknown[]];
    expect(first).toMatchObject([{ positionsTotal: 96 }]);
    expect(await readBuildStatus(store, 'a')).toMatchObject([
      { state: 'complete', positions: 96, positionsTotal: 96 },
    ]);
  });
});
