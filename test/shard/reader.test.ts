import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeStream } from '../../src/formats/arrow.ts';
import { batchPositions } from '../../src/formats/arrow-positions.ts';
import { concatColumns } from '../../src/formats/layout.ts';
import { decodeIndex } from '../../src/shard/index-file.ts';
import { filePath, indexName, shardName } from '../../src/shard/names.ts';
import { openSnapshot } from '../../src/shard/open-snapshot.ts';
import type { SnapshotReader } from '../../src/shard/reader.ts';
import { coded } from '../contracts/store.ts';
import { plain } from '../support/columns.ts';
import { useStore } from '../support/folder.ts';
import { build, rowOf, sampleOf, writeSamples } from '../support/shards.ts';

const place = useStore();
const shards = [40, 1, 25].map((count, shard) =>
  Array.from({ length: count }, (_, i) => sampleOf(100 * shard + i)),
);
const samples = shards.flat();

/** Cost of a reader with a cache, and of one that keeps hardly anything. */
const caches = [undefined, 1];

async function open(cacheBytesMax?: number): Promise<SnapshotReader> {
  await writeSamples(place.store, shards);
  return openSnapshot(place.store, { dataset: 'default', snapshot: 'latest', cacheBytesMax });
}

const shard = (i: number) => place.path(filePath('default', shardName(build, i, 'arrow')));
const index = (i: number) => place.path(filePath('default', indexName(build, i)));

describe('a reader of shards', () => {
  it.each(caches)('gives the rows of any ordinals in any order (cache %s)', async (cache) => {
    const reader = await open(cache);
    const names = Object.keys(reader.columns);
    const rows = samples.map((sample) => rowOf(sample).columns);
    const ordinals = fc.array(fc.nat(samples.length - 1), { minLength: 1, maxLength: 12 });
    const property = fc.asyncProperty(ordinals, async (asked) => {
      const found = await reader.read(asked, names);
      for (const name of names) {
        const own = asked.map((ordinal) => rows[ordinal][name]);
        expect(plain(found[name])).toEqual(plain(concatColumns(reader.columns[name], own)));
      }
    });
    await fc.assert(property, { numRuns: 60 });
    await reader.close();
  });

  it('reads everything, shard by shard, as an Arrow library does', async () => {
    const reader = await open();
    let first = 0;
    for (const [i, own] of shards.entries()) {
      const { batches } = decodeStream(readFileSync(shard(i)));
      expect(batches.length).toBe(own.length === 1 ? 1 : batches.length);
      expect(batches.length > 3).toBe(own.length > 1);
      const ordinals = own.map((_, row) => first + row);
      const found = await reader.read(ordinals, ['tokens', 'teacher_frame']);
      for (const [name, column] of Object.entries(found)) {
        const parts = batches.map((batch) => batch[name]);
        expect(plain(column)).toEqual(plain(concatColumns(reader.columns[name], parts)));
      }
      first += own.length;
    }
    await reader.close();
  });

  it('finds every sample by its id, and says where there is none', async () => {
    const reader = await open();
    for (const [ordinal, sample] of samples.entries()) {
      expect(await reader.find(rowOf(sample).sampleId)).toBe(ordinal);
    }
    const absent = [new Uint8Array(16), new Uint8Array(16).fill(255)];
    for (const { sampleId } of samples.map((sample) => rowOf(sample))) {
      for (const change of [1, 255]) {
        const near = Buffer.from(sampleId);
        near[15] += change;
        absent.push(near);
      }
    }
    for (const sampleId of absent) expect(await reader.find(sampleId)).toBeUndefined();
    await reader.close();
  });

  it('gives sample ids over any range, across shards', async () => {
    const reader = await open();
    const all = Buffer.concat(samples.map((sample) => rowOf(sample).sampleId));
    const count = samples.length;
    for (const [from, to] of [
      [0, count],
      [0, 0],
      [0, 1],
      [39, 42],
      [40, 41],
      [count, count],
    ]) {
      const found = Buffer.from(await reader.sampleIds(from, to));
      expect(found.equals(all.subarray(from * 16, to * 16))).toBe(true);
    }
    await reader.close();
  });

  it('refuses ordinals and ranges outside the snapshot', async () => {
    const reader = await open();
    const missing = coded('sample-not-found');
    for (const ordinal of [-1, samples.length, 1e9, Number.NaN]) {
      await expect(reader.read([0, ordinal], ['tokens'])).rejects.toThrowError(missing);
    }
    for (const [from, to] of [
      [0, samples.length + 1],
      [-1, 2],
      [5, 4],
    ]) {
      await expect(reader.sampleIds(from, to)).rejects.toThrowError(missing);
    }
    await reader.close();
  });

  it('reads few bytes for one row: not the shard, not its neighbours', async () => {
    await writeSamples(place.store, shards, { batchBytesMax: 1_000_000 });
    const counter = { bytes: 0 };
    const counting = new Proxy(place.store, {
      get(store, name) {
        if (name !== 'read') return Reflect.get(store, name).bind(store);
        return (file: string, offset: number, length: number) => {
          counter.bytes += length;
          return store.read(file, offset, length);
        };
      },
    });
    const reader = await openSnapshot(counting, { dataset: 'default', snapshot: 'latest' });
    await reader.read([20], ['teacher_frame']);
    const frameBytes = rowOf(samples[20]).columns.teacher_frame.buffers[1].length;
    counter.bytes = 0;
    await reader.read([20], ['teacher_frame']);
    expect(counter.bytes).toBe(frameBytes); // the batch's directory and offsets are at hand
    await reader.close();
  });
});

describe('a damaged shard or index is named', () => {
  const named = (code: string, name: string) =>
    expect.objectContaining({ code, message: expect.stringContaining(name) });

  it('where the shard is missing or cut short', async () => {
    const reader = await open();
    rmSync(shard(0));
    await place.store.close(); // forgets open files
    const damaged = named('shard-damaged', shardName(build, 0, 'arrow'));
    await expect(reader.read([0], ['tokens'])).rejects.toThrowError(damaged);
    await reader.read([40], ['tokens']);
    truncateSync(shard(2), 3000);
    await place.store.close();
    await expect(reader.read([64], ['tokens'])).rejects.toThrowError(
      named('shard-damaged', shardName(build, 2, 'arrow')),
    );
    await reader.close();
  });

  it('where the index is missing, cut short, empty or of another shard', async () => {
    const reader = await open();
    const original = readFileSync(index(0));
    const changes = [
      () => rmSync(index(0)),
      () => writeFileSync(index(0), original.subarray(0, original.length - 1)),
      () => writeFileSync(index(0), ''),
      () => writeFileSync(index(0), readFileSync(index(1))),
    ];
    for (const change of changes) {
      change();
      const other = await openSnapshot(place.store, { dataset: 'default', snapshot: 'latest' });
      await expect(other.read([0], ['tokens'])).rejects.toThrowError(
        named('index-damaged', indexName(build, 0)),
      );
      await other.close();
    }
    await reader.close();
  });

  it('where offsets of a column go back', async () => {
    await writeSamples(place.store, [shards[0]], { batchBytesMax: 1_000_000 });
    const bytes = readFileSync(shard(0));
    const [{ offset, metadataBytes }] = decodeIndex(readFileSync(index(0)), 'index').batches;
    const open = () => openSnapshot(place.store, { dataset: 'default', snapshot: 'latest' });
    const { columns } = await open();
    const head = bytes.subarray(offset, offset + metadataBytes);
    const at = batchPositions(head, offset, columns).columns.tokens[0].offset;
    for (const [row, value] of [
      [0, 1],
      [7, 2],
      [40, 5],
      [7, 1_000_000],
      [7, -1],
    ]) {
      const before = bytes.readInt32LE(at + 4 * row);
      bytes.writeInt32LE(value, at + 4 * row);
      writeFileSync(shard(0), bytes);
      await place.store.close();
      const reader = await open();
      await expect(reader.read([0, 6, 7, 8], ['tokens'])).rejects.toThrowError(
        named('shard-damaged', shardName(build, 0, 'arrow')),
      );
      bytes.writeInt32LE(before, at + 4 * row);
    }
  });

  it('whatever bit is flipped: the rows, or an error that names it, never a crash', async () => {
    await writeSamples(place.store, [shards[0].slice(0, 6)]);
    const columns = ['tokens', 'mask', 'meta', 'teacher_frame'];
    const { batches } = decodeIndex(readFileSync(index(0)), 'index');
    const directories = batches.flatMap(({ offset, metadataBytes }) =>
      Array.from({ length: metadataBytes * 8 }, (_, bit) => offset * 8 + bit),
    );
    const body = Array.from({ length: 300 }, (_, i) => i * 613);
    const inIndex = Array.from({ length: readFileSync(index(0)).length * 8 }, (_, bit) => bit);
    const codes = ['shard-damaged', 'index-damaged'];
    const flips = { [shard(0)]: [...directories, ...body], [index(0)]: inIndex };
    for (const [file, bits] of Object.entries(flips)) {
      const bytes = readFileSync(file);
      const whole = Buffer.from(bytes);
      for (const bit of bits.filter((_, i) => i % 7 === 0)) {
        bytes[(bit >> 3) % bytes.length] ^= 1 << (bit & 7);
        writeFileSync(file, bytes);
        await place.store.close();
        const reader = await openSnapshot(place.store, { dataset: 'default', snapshot: 'latest' });
        await reader.read([0, 3, 5], columns).catch((error) => {
          expect(codes).toContain(error.code);
          expect(error.message).toMatch(build);
        });
        await reader.close();
        bytes.set(whole);
      }
      writeFileSync(file, whole);
    }
  });
});
