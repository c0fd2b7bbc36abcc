import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ContainerName } from '../../schemas/common.ts';
import { measureSize } from '../../src/audit/size.ts';
import { verifySnapshot } from '../../src/audit/verify.ts';
import { build } from '../../src/build.ts';
import { openSnapshot } from '../../src/shard/open-snapshot.ts';
import { openStore } from '../../src/store/table.ts';
import { plain } from '../support/columns.ts';
import { configOf, writeDump } from '../support/dump.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-parquet-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function settings(store: string, format: ContainerName, type: 'plain' | 'raw' = 'plain') {
  const { source } = writeDump(folder, { positions: 1600, vocabulary: 300, sampleLength: 32 });
  return configOf({
    store: join(folder, store),
    source,
    format,
    codec: { type },
    temperatures: [2],
    shard: { bytes_max: 65_536, batch_bytes_max: 8192 },
    reference: { positions: 64, entries: 128 },
  });
}

const files = (store: string) => {
  const path = join(folder, store, 'default', 'files');
  const named = readdirSync(path).map((name) => [
    name,
    createHash('sha256')
      .update(readFileSync(join(path, name)))
      .digest('hex'),
  ]);
  return Object.fromEntries(named);
};
const run = (config: ReturnType<typeof settings>, signal?: AbortSignal, stop?: () => void) =>
  build(config, { dataFolder: 'data', signal, onProgress: ({ shards }) => shards && stop?.() });
const latest = { dataset: 'default', snapshot: 'latest' };

describe('a build in Parquet', () => {
  it.each(['plain', 'raw'] as const)('holds the rows of one in Arrow (%s)', async (codec) => {
    const [arrow, parquet] = [
      await run(settings('arrow', 'arrow', codec)),
      await run(settings('parquet', 'parquet', codec)),
    ];
    expect(parquet.build).not.toBe(arrow.build);
    expect(parquet.manifest.content_id).toBe(arrow.manifest.content_id);
    expect(parquet.manifest.features).toEqual(['parquet']);
    expect(parquet.manifest.target_sets).toEqual(arrow.manifest.target_sets);
    const shards = parquet.manifest.files.filter(({ role }) => role === 'shard');
    expect(shards.length).toBeGreaterThan(1);
    expect(shards.every(({ name }) => name.endsWith('.parquet'))).toBe(true);
    const stores = [
      await openStore(join(folder, 'arrow')),
      await openStore(join(folder, 'parquet')),
    ];
    const [a, b] = [await openSnapshot(stores[0], latest), await openSnapshot(stores[1], latest)];
    const ordinals = Array.from({ length: parquet.manifest.totals.samples }, (_, i) => i);
    const names = Object.keys(a.columns);
    const [from, to] = [await a.read(ordinals, names), await b.read(ordinals, names)];
    for (const name of names) expect(plain(to[name])).toEqual(plain(from[name]));
    expect((await verifySnapshot(stores[1], latest)).problems).toEqual([]);
    const { columns } = await measureSize(stores[1], latest);
    expect(columns.map(({ name }) => name)).toEqual(names);
    const pages = columns.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(pages).toBeGreaterThan(shards.reduce((sum, { bytes }) => sum + bytes, 0) * 0.7);
    for (const store of stores) await store.close();
  });

  it('stopped and run again ends with the same bytes', async () => {
    const whole = await run(settings('whole', 'parquet'));
    const stop = new AbortController();
    const config = settings('stopped', 'parquet');
    const stopped = run(config, stop.signal, () => stop.abort());
    await expect(stopped).rejects.toMatchObject({ code: 'interrupted' });
    expect(Object.keys(files('stopped')).some((name) => name.endsWith('.parquet'))).toBe(true);
    const resumed = await run(config);
    expect(resumed.resumedSamples).toBeGreaterThan(0);
    expect(resumed.snapshot).toBe(whole.snapshot);
    expect(files('stopped')).toEqual(files('whole'));
  });
});
