import { describe, expect, it } from 'vitest';
import type { TargetSet } from '../../schemas/manifest.ts';
import { verifySnapshot } from '../../src/audit/verify.ts';
import { readSealed } from '../../src/cache/sealed.ts';
import { openClient } from '../../src/client/client.ts';
import { joinSnapshots } from '../../src/convert.ts';
import { openSnapshot } from '../../src/shard/open-snapshot.ts';
import { coded } from '../contracts/store.ts';
import { serve } from '../fixtures.ts';
import { useStore } from '../support/folder.ts';
import { type Sample, sampleOf, targetSet, writeSamples } from '../support/shards.ts';

const sealedRows = async (...sample: Parameters<typeof readSealed>) =>
  (await readSealed(...sample)).rows;

const place = useStore();
const raw: TargetSet = { ...targetSet, name: 'second', codec: { name: 'raw', parameters: {} } };
const one = Array.from({ length: 12 }, (_, i) => sampleOf(i, 3 + i));
/** The other teacher scored most of them, in another order, and one more. */
const other = [11, 3, 0, 7, 40].map((i): Sample => {
  const { tokens } = sampleOf(i, 3 + i);
  return { tokens, targets: sampleOf(i + 100, 3 + i).targets };
});
const missing = (i: number) => ![11, 3, 0, 7].includes(i);
const options = {
  datasets: ['default', 'other'],
  snapshot: 'latest',
  dataset: 'both',
  tag: 'latest',
  format: 'arrow',
  compression: 'zstd',
} as const;

async function join(set = raw) {
  await writeSamples(place.store, [one.slice(0, 5), one.slice(5)]);
  await writeSamples(place.store, [other], { set, dataset: 'other' });
  return joinSnapshots(place.store, options);
}

describe.each([
  ['raw', raw],
  ['planes', { ...targetSet, name: 'second' }],
])('two teachers of the same samples, the second one in %s', (_, set) => {
  it('are two sets of one snapshot, bit for bit, empty where one has nothing', async () => {
    const { manifest } = await join(set);
    const { problems } = await verifySnapshot(place.store, { ...options, dataset: 'both' });
    expect(problems).toEqual([]);
    expect(manifest.target_sets.map(({ name }) => name)).toEqual(['teacher', 'second']);
    const sources = {
      teacher: await openSnapshot(place.store, { dataset: 'default', snapshot: 'latest' }),
      second: await openSnapshot(place.store, { dataset: 'other', snapshot: 'latest' }),
    };
    expect(manifest.content_id).toBe(sources.teacher.manifest.content_id);
    const both = await openSnapshot(place.store, { dataset: 'both', snapshot: 'latest' });
    const [first, second] = manifest.target_sets;
    let entries = 0;
    for (const [i, { tokens }] of one.entries()) {
      const own = sources.teacher.manifest.target_sets[0];
      expect(await sealedRows(both, first, i)).toEqual(await sealedRows(sources.teacher, own, i));
      const found = await sealedRows(both, second, i);
      if (missing(i)) {
        expect([...found.offsets]).toEqual(Array(tokens.length + 1).fill(0));
        expect([...(found.tail ?? [])]).toEqual(Array(tokens.length).fill(1));
        expect(found.labelLogprob?.every(Number.isNaN)).toBe(true);
        continue;
      }
      const at = [11, 3, 0, 7].indexOf(i);
      expect(found).toEqual(await sealedRows(sources.second, set, at));
      entries += found.ids.length;
    }
    expect(second.entries).toBe(entries);
    for (const reader of [both, ...Object.values(sources)]) await reader.close();
  });

  it('are served in every layout that has them', async () => {
    await join(set);
    const server = await serve(place.store);
    const client = openClient({ url: server.url });
    try {
      const streams = [{ dataset: 'both' }];
      const { plan } = await client.createPlan({ streams, global_batch: 12 });
      const step = { plan, epoch: 0, step: 0 };
      const layouts = set === raw ? (['plain'] as const) : (['plain', 'frames'] as const);
      for (const layout of layouts) {
        const batch = await client.step(step, { layout });
        expect(batch.targetSets.map(({ name }) => name)).toEqual(['teacher', 'second']);
        const counts = batch.targets('second').map(({ ids }) => ids.length);
        expect(counts.filter((count) => count > 0)).toHaveLength(4);
        expect(batch.targets('teacher').filter(({ ids }) => ids.length > 0)).toHaveLength(12);
      }
      for (const target_set of ['teacher', 'second']) {
        const batch = await client.step(step, { layout: 'dense', target_set, k: 4 });
        expect(batch.columns[`${target_set}_ids`]).toBeDefined();
      }
    } finally {
      client.close();
      await server.close();
    }
  });
});

describe('a join', () => {
  it('is made once', async () => {
    const first = await join();
    const again = await joinSnapshots(place.store, options);
    expect(again).toMatchObject({ id: first.id, reused: true });
  });

  it('refuses sets of one name', async () => {
    await expect(join(targetSet)).rejects.toMatchObject(coded('conflict'));
    expect(await place.store.list('both/files')).toEqual([]);
  });

  it('refuses a damaged snapshot, whichever it is', async () => {
    await writeSamples(place.store, [one]);
    const { manifest } = await writeSamples(place.store, [other], { set: raw, dataset: 'other' });
    const shard = manifest.files.find(({ role }) => role === 'shard');
    const path = `other/files/${shard?.name}`;
    const bytes = await place.store.readAll(path);
    bytes[bytes.length >> 1] ^= 1;
    await place.store.write(path, bytes);
    await expect(joinSnapshots(place.store, options)).rejects.toMatchObject(coded('shard-damaged'));
    expect(await place.store.list('both/files')).toEqual([]);
  });
});
