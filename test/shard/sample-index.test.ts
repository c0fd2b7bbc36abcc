import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { filePath, sampleIndexName } from '../../src/shard/names.ts';
import { createReader } from '../../src/shard/open-snapshot.ts';
import { writeSampleIndex } from '../../src/shard/sample-index.ts';
import { useStore } from '../support/folder.ts';
import { build, rowOf, sampleOf, writeSamples } from '../support/shards.ts';

const place = useStore();
const path = filePath('default', sampleIndexName(build));

/** Sixty samples in three shards; every fifth is a copy of sample 3. */
const samples = Array.from({ length: 60 }, (_, i) => sampleOf(i % 5 === 3 ? 3 : i));
const shards = [samples.slice(0, 20), samples.slice(20, 21), samples.slice(21)];
const ids = samples.map((sample) => Buffer.from(rowOf(sample).sampleId));

describe('the sample index', () => {
  it('holds all ids ascending, copies by ordinal', async () => {
    await writeSamples(place.store, shards);
    const bytes = await place.store.readAll(path);
    const order = ids.map((_, i) => i).sort((a, b) => ids[a].compare(ids[b]) || a - b);
    const records = order.map((ordinal) => {
      const record = Buffer.alloc(24);
      ids[ordinal].copy(record);
      record.writeBigUInt64LE(BigInt(ordinal), 16);
      return record;
    });
    expect(bytes.equals(Buffer.concat(records))).toBe(true);
  });

  it.each([1, 2, 7, 59, 60, 1000])(
    'is the same in passes of %d records',
    async (passRecordsMax) => {
      await writeSamples(place.store, shards);
      const whole = await place.store.readAll(path);
      const { manifest } = await writeSamples(place.store, shards, { passRecordsMax });
      expect((await place.store.readAll(path)).equals(whole)).toBe(true);
      const inOrder = createHash('sha256').update(Buffer.concat(ids)).digest('hex');
      expect(manifest.content_id).toBe(inOrder);
    },
  );

  it('gives the first ordinal of a sample that occurs more than once', async () => {
    const { id, manifest } = await writeSamples(place.store, shards);
    const reader = createReader(place.store, { id, manifest });
    expect(await reader.find(ids[48])).toBe(3);
    for (const [ordinal, sampleId] of ids.entries()) {
      expect(await reader.find(sampleId)).toBe(ordinal % 5 === 3 ? 3 : ordinal);
    }
    await reader.close();
  });

  it('leaves nothing behind where a shard index is damaged', async () => {
    await writeSamples(place.store, [shards[0]]);
    const before = await place.store.readAll(path);
    const index = filePath('default', `${build}-00000.index`);
    const bytes = await place.store.readAll(index);
    bytes[120] ^= 1;
    await place.store.write(index, bytes);
    const target = { dataset: 'default', build, indexes: [`${build}-00000.index`], samples: 20 };
    await expect(writeSampleIndex(place.store, target)).rejects.toMatchObject({
      code: 'index-damaged',
    });
    expect((await place.store.readAll(path)).equals(before)).toBe(true);
  });
});
