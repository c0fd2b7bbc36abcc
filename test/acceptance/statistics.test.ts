import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Statistics } from '../../schemas/audit.ts';
import type { Manifest } from '../../schemas/manifest.ts';
import { writeSnapshot } from '../../src/shard/snapshot.ts';
import { ask, shape } from '../fixtures.ts';
import { useServedStore } from '../support/served-store.ts';

const at = useServedStore();

const of = (dataset: string, snapshot = 'latest') =>
  ask(at.url, `/v1/datasets/${dataset}/snapshots/${snapshot}/statistics`);
const manifestOf = (dataset: 'planes' | 'raw') => {
  const path = join(
    at.made.folder,
    'store',
    dataset,
    'snapshots',
    `${at.made[dataset].snapshot}.json`,
  );
  return JSON.parse(readFileSync(path, 'utf8')) as Manifest;
};

describe('the statistics of a snapshot', () => {
  it('are those of its manifest, by tag and by digest', async () => {
    const { snapshot } = at.made.planes;
    const manifest = manifestOf('planes');
    const [set] = manifest.target_sets;
    for (const ref of ['latest', snapshot]) {
      const answer = await of('planes', ref);
      expect(answer.headers['logitcask-snapshot']).toBe(snapshot);
      expect(answer.headers['cache-control']).toBe('no-cache');
      expect(answer.json()).toEqual({
        dataset: 'planes',
        snapshot,
        tags: ['latest'],
        kind: 'text',
        label_space: { kind: 'vocabulary', size: shape.vocabulary, tokenizer: null },
        totals: manifest.totals,
        roles: ['shard', 'index', 'reference'].map((role) => {
          const files = manifest.files.filter((file) => file.role === role);
          const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
          return { role, files: files.length, bytes };
        }),
        images: null,
        bytes_per_position: manifest.totals.bytes / shape.positions,
        origin: manifest.inputs.origin,
        licence: 'unknown',
        model_input: null,
        parent: null,
        target_sets: [
          {
            name: 'teacher',
            teacher: 'dump',
            kind: 'scaled',
            label_space: null,
            normalisation: 'softmax',
            sparsifier: 'top-k k=16',
            codec: expect.stringMatching(/^planes .*step=/),
            temperature: 1,
            log_z: [2],
            entries_per_position: set.entries / shape.positions,
            fidelity: set.fidelity,
            alignment: set.alignment,
          },
        ],
        audit: null,
      });
    }
    expect((await of('raw')).json()).toMatchObject({ target_sets: [{ codec: 'raw' }] });
  });

  it('name the tags of the moment', async () => {
    const { snapshot } = at.made.plain;
    await at.made.store.write('plain/tags/best', Buffer.from(`${snapshot}\n`));
    expect((await of('plain')).json()).toMatchObject({ tags: ['best', 'latest'] });
    await at.made.store.remove('plain/tags/best');
    expect((await of('plain', snapshot)).json()).toMatchObject({ tags: ['latest'] });
  });

  it('are small for ten thousand shards', async () => {
    const manifest = manifestOf('planes');
    const shard = manifest.files.find(({ role }) => role === 'shard');
    const files = Array.from({ length: 10_000 }, (_, i) => [
      { ...shard!, name: `${i}.arrow` },
      { ...shard!, role: 'index' as const, name: `${i}.index`, samples: 0, positions: 0 },
    ]).flat();
    const { bytes } = await writeSnapshot(
      at.made.store,
      { ...manifest, dataset: 'large', files },
      'latest',
    );
    expect(bytes.byteLength).toBeGreaterThan(3e6);
    const { body, json } = await of('large');
    expect(body.byteLength).toBeLessThan(4096);
    const { roles } = json() as unknown as Statistics;
    expect(roles).toEqual([
      { role: 'shard', files: 10_000, bytes: 10_000 * shard!.bytes },
      { role: 'index', files: 10_000, bytes: 10_000 * shard!.bytes },
    ]);
  });

  it.each([
    ['none', 'latest', 'dataset-not-found'],
    ['planes', 'none', 'snapshot-not-found'],
    ['planes', '0'.repeat(64), 'snapshot-not-found'],
  ])('of %s/%s are not found', async (dataset, snapshot, code) => {
    expect((await of(dataset, snapshot)).json()).toMatchObject({ status: 404, code });
  });

  it('of another data set are not answered by digest', async () => {
    await of('planes');
    const answer = await of('raw', at.made.planes.snapshot);
    expect(answer.json()).toMatchObject({ status: 404, code: 'snapshot-not-found' });
  });
});
