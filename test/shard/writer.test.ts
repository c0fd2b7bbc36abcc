import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { LogitcaskError } from '../../src/errors.ts';
import { decodeStream } from '../../src/formats/arrow.ts';
import { shardColumns } from '../../src/shard/columns.ts';
import { decodeIndex } from '../../src/shard/index-file.ts';
import { openShardWriter } from '../../src/shard/writer.ts';
import type { Store } from '../../src/store/store.ts';
import { coded } from '../contracts/store.ts';
import { useStore } from '../support/folder.ts';
import { labelSpace, rowOf, sampleOf, targetSet } from '../support/shards.ts';

const place = useStore();
const types = shardColumns({ kind: 'text', target_sets: [targetSet], label_space: labelSpace });
const rows = Array.from({ length: 30 }, (_, i) => rowOf(sampleOf(i)));

function open(store: Store, batchBytesMax = 2000) {
  const names = { shard: 'd/a.arrow', index: 'd/a.index' };
  return openShardWriter({ store, ...names, types, metadata: { role: 'shard' }, batchBytesMax });
}

const hidden = () => readdirSync(place.folder, { recursive: true, encoding: 'utf8' });

describe('a shard writer', () => {
  it('shows both files at the end only, and the index tells where batches and rows lie', async () => {
    const writer = await open(place.store);
    for (const row of rows) await writer.add(row);
    expect(writer.samples).toBe(30);
    expect(await place.store.list('d')).toEqual([]);
    await writer.finish(77);
    expect(await place.store.list('d')).toEqual(['a.arrow', 'a.index']);
    const shard = await place.store.readAll('d/a.arrow');
    const index = decodeIndex(await place.store.readAll('d/a.index'), 'a');
    const total = (field: 'positions' | 'learned' | 'entries') =>
      rows.reduce((sum, row) => sum + row[field], 0);
    expect(index.header).toMatchObject({
      samples: 30,
      positions: total('positions'),
      learned: total('learned'),
      entries: total('entries'),
      nextInput: 77,
      shardBytes: shard.length,
    });
    const decoded = decodeStream(shard);
    expect(decoded.metadata).toEqual({ role: 'shard' });
    expect(index.batches.map((batch) => batch.rows)).toEqual(
      decoded.batches.map((batch) => batch.tokens.rows),
    );
    let first = 0;
    for (const batch of index.batches) {
      expect(batch.firstRow).toBe(first);
      first += batch.rows;
    }
    expect(first).toBe(30);
  });

  it('keeps batches within their bytes, but for a row that is larger alone', async () => {
    const bytesOf = (row: (typeof rows)[number]) =>
      Object.values(row.columns).reduce(
        (sum, { buffers }) => sum + buffers.reduce((n, buffer) => n + buffer.length, 0),
        0,
      );
    const writer = await open(place.store, 500);
    for (const row of rows) await writer.add(row);
    await writer.finish(30);
    const { batches } = decodeIndex(await place.store.readAll('d/a.index'), 'a');
    for (const { firstRow, rows: count } of batches) {
      const bytes = rows.slice(firstRow, firstRow + count).map(bytesOf);
      expect(count === 1 || bytes.reduce((a, b) => a + b) <= 500).toBe(true);
    }
    expect(batches.some((batch) => batch.rows > 1)).toBe(true);
    expect(batches.some((batch) => batch.rows === 1)).toBe(true);
  });

  it('gives the same bytes each time', async () => {
    const shards: Buffer[] = [];
    for (let round = 0; round < 2; round++) {
      const writer = await open(place.store);
      for (const row of rows) await writer.add(row);
      await writer.finish(30);
      shards.push(await place.store.readAll('d/a.arrow'), await place.store.readAll('d/a.index'));
    }
    expect(shards[0].equals(shards[2]) && shards[1].equals(shards[3])).toBe(true);
  });

  it('leaves nothing after an abort', async () => {
    const writer = await open(place.store);
    for (const row of rows) await writer.add(row);
    await writer.abort();
    expect(hidden()).toEqual(['d']);
  });

  it('leaves nothing where the disk is full from the first byte on', async () => {
    const full: Store = {
      ...bound(place.store),
      async create(name) {
        const writer = await place.store.create(name);
        const append = () =>
          Promise.reject(new LogitcaskError('store-full', 'store: no room, free some'));
        return { bytesWritten: 0, append, commit: append, abort: () => writer.abort() };
      },
    };
    await expect(open(full)).rejects.toThrowError(coded('store-full'));
    expect(hidden()).toEqual(['d']);
  });
});

/** The methods of a store, so that some can be replaced. */
function bound(store: Store): Store {
  return {
    url: store.url,
    read: (...args) => store.read(...args),
    readInto: (...args) => store.readInto(...args),
    readAll: (...args) => store.readAll(...args),
    size: (name) => store.size(name),
    list: (folder) => store.list(folder),
    write: (...args) => store.write(...args),
    create: (name) => store.create(name),
    link: (name, second) => store.link(name, second),
    openLog: (...args) => store.openLog(...args),
    remove: (name) => store.remove(name),
    removeFolder: (folder) => store.removeFolder(folder),
    sweep: () => store.sweep(),
    close: () => store.close(),
  };
}
