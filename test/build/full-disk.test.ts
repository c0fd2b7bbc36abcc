import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifySnapshot } from '../../src/audit/verify.ts';
import { build } from '../../src/build.ts';
import { openStore } from '../../src/store/table.ts';
import { configOf, type Dump, writeDump } from '../support/dump.ts';

let folder = '';
let dump: Dump;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-full-'));
  dump = writeDump(folder, { positions: 6400, vocabulary: 300, sampleLength: 64 });
});
afterAll(() => rmSync(folder, { recursive: true }));

const mounted = join(tmpdir(), `logitcask-tmpfs-${process.pid}`);
const canMount =
  spawnSync('sh', ['-c', `mkdir -p ${mounted} && mount -t tmpfs -o size=320k tmpfs ${mounted}`])
    .status === 0;
if (!canMount) console.warn('full disk: no tmpfs can be mounted here (needs root): not tested');
afterAll(() => {
  if (canMount) execFileSync('umount', [mounted]);
  rmSync(mounted, { recursive: true, force: true });
});

describe.runIf(canMount)('a full disk', () => {
  it('ends a build with store-full, shows no half file, and the build goes on with more room', async () => {
    const config = configOf({
      store: join(mounted, 'store'),
      source: dump.source,
      sparsifier: { type: 'top-k', k: 64 },
      shard: { bytes_max: 65_536, batch_bytes_max: 16_384 },
      reference: { positions: 32, entries: 64 },
    });
    const run = () => build(config, { dataFolder: 'data' });
    await expect(run()).rejects.toMatchObject({ code: 'store-full' });
    const names = readdirSync(mounted, { recursive: true, encoding: 'utf8' });
    expect(names.filter((name) => name.includes('.tmp-'))).toEqual([]);
    expect(names.filter((name) => name.includes('snapshots/'))).toEqual([]);
    execFileSync('mount', ['-o', 'remount,size=16m', mounted]);
    const report = await run();
    expect(report.resumedSamples).toBeGreaterThan(0);
    const store = await openStore(config.store);
    const verified = await verifySnapshot(store, { dataset: 'default', snapshot: 'latest' });
    expect(verified.problems).toEqual([]);
    await store.close();
  });
});
