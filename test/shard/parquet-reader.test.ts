import { readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TargetSet } from '../../schemas/manifest.ts';
import { verifySnapshot } from '../../src/audit/verify.ts';
import { concatColumns } from '../../src/formats/layout.ts';
import { decodeIndex } from '../../src/shard/index-file.ts';
import { filePath, indexName, shardName } from '../../src/shard/names.ts';
import { openSnapshot } from '../../src/shard/open-snapshot.ts';
import { plain } from '../support/columns.ts';
import { useStore } from '../support/folder.ts';
import { readParquet } from '../support/parquet.ts';
import { build, rowOf, sampleOf, targetSet, writeSamples } from '../support/shards.ts';

const place = useStore();
const shards = [40, 1, 25].map((count, shard) =>
  Array.from({ length: count }, (_, i) => sampleOf(100 * shard + i)),
);
const samples = shards.flat();
const sets: readonly TargetSet[] = [
  { ...targetSet, codec: { name: 'plain', parameters: { step: 0.003 } } },
  { ...targetSet, codec: { name: 'raw', parameters: {} } },
];
const shard = (i: number) => place.path(filePath('default', shardName(build, i, 'parquet')));
const latest = { dataset: 'default', snapshot: 'latest' };

describe.each(sets)('a reader of Parquet shards ($codec.name)', (set) => {
  const write = () => writeSamples(place.store, shards, { set, format: 'parquet' });

  it.each([undefined, 1])(
    'gives the rows of any ordinals in any order (cache %s)',
    async (cache) => {
      await write();
      const reader = await openSnapshot(place.store, { ...latest, cacheBytesMax: cache });
      const names = Object.keys(reader.columns);
      const rows = samples.map((sample) => rowOf(sample, set).columns);
      const ordinals = fc.array(fc.nat(samples.length - 1), { minLength: 1, maxLength: 12 });
      const property = fc.asyncProperty(ordinals, async (asked) => {
        const found = await reader.read(asked, names);
        for (const name of names) {
          const own = asked.map((ordinal) => rows[ordinal][name]);
          expect(plain(found[name])).toEqual(plain(concatColumns(reader.columns[name], own)));
        }
      });
      await fc.assert(property, { numRuns: 25 });
      await reader.close();
    },
  );

  it('has shards whose index tells where each row group lies', async () => {
    await write();
    const { columns } = await openSnapshot(place.store, latest);
    for (const [i, own] of shards.entries()) {
      const bytes = readFileSync(shard(i));
      const index = readFileSync(place.path(filePath('default', indexName(build, i))));
      const { header, batches } = decodeIndex(index, 'index');
      expect(header.shardBytes).toBe(bytes.length);
      const groups = readParquet(bytes, columns).batches;
      expect(groups.map((group) => group.tokens.rows)).toEqual(batches.map(({ rows }) => rows));
      expect(groups.length > 3).toBe(own.length > 1);
      expect(batches[0].offset).toBe(4);
      for (const [j, { offset, metadataBytes }] of batches.entries()) {
        if (j > 0) expect(offset).toBe(batches[j - 1].offset + batches[j - 1].metadataBytes);
        expect(offset + metadataBytes).toBeLessThan(bytes.length);
      }
    }
  });

  it('verifies, and names the shard that does not', async () => {
    await write();
    expect((await verifySnapshot(place.store, latest)).problems).toEqual([]);
    const bytes = readFileSync(shard(2));
    bytes[100] ^= 1;
    writeFileSync(shard(2), bytes);
    const { problems } = await verifySnapshot(place.store, latest);
    expect(problems).toMatchObject([
      { code: 'shard-damaged', file: shardName(build, 2, 'parquet') },
    ]);
  });

  it('whatever bit is flipped: the rows, or an error that names the shard', async () => {
    await writeSamples(place.store, [shards[0].slice(0, 6)], { set, format: 'parquet' });
    const before = await openSnapshot(place.store, latest);
    const names = Object.keys(before.columns);
    const expected = await before.read([0, 3, 5], names);
    const bytes = readFileSync(shard(0));
    const whole = Buffer.from(bytes);
    for (let bit = 0; bit < bytes.length * 8; bit += 41) {
      bytes[bit >> 3] ^= 1 << (bit & 7);
      writeFileSync(shard(0), bytes);
      await place.store.close(); // forgets open files
      const reader = await openSnapshot(place.store, latest);
      const found = await reader.read([0, 3, 5], names).catch((error) => {
        expect(error.code).toBe('shard-damaged');
        expect(error.message).toContain(shardName(build, 0, 'parquet'));
        return expected;
      });
      expect(found).toEqual(expected);
      await reader.close();
      bytes.set(whole);
    }
  });
});
