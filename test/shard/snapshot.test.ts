import { describe, expect, it } from 'vitest';
import type { Manifest } from '../../schemas/manifest.ts';
import { canonicalJson, sha256Hex } from '../../src/formats/canonical.ts';
import { snapshotPath, tagPath } from '../../src/shard/names.ts';
import {
  listDatasets,
  listSnapshots,
  parseManifest,
  readBuildStatus,
  readTags,
  resolveSnapshot,
  writeBuildStatus,
  writeSnapshot,
} from '../../src/shard/snapshot.ts';
import { coded } from '../contracts/store.ts';
import { useStore } from '../support/folder.ts';
import { sampleOf, writeSamples } from '../support/shards.ts';

const place = useStore();
const written = () => writeSamples(place.store, [[sampleOf(1), sampleOf(2)]]);

/** Puts a document into the store under its own digest. */
async function store(document: unknown, text = canonicalJson(document)): Promise<string> {
  const id = sha256Hex(text);
  await place.store.write(snapshotPath('default', id), Buffer.from(text));
  return id;
}

const resolve = (ref: string) => resolveSnapshot(place.store, 'default', ref);

describe('a snapshot', () => {
  it('is found by digest and by tag, byte for byte', async () => {
    const { id, manifest } = await written();
    for (const ref of [id, 'latest']) {
      const found = await resolve(ref);
      expect(found).toMatchObject({ id, manifest });
      expect(found.bytes.toString()).toBe(canonicalJson(manifest));
      expect(sha256Hex(found.bytes)).toBe(id);
    }
    expect(await listDatasets(place.store)).toEqual(['default']);
    expect(await listSnapshots(place.store, 'default')).toEqual([id]);
    expect(await readTags(place.store, 'default')).toEqual({ latest: id });
  });

  it('keeps older ones when a tag moves on', async () => {
    const { id, manifest } = await written();
    const other = await writeSnapshot(place.store, { ...manifest, parent: id }, 'latest');
    expect((await resolve('latest')).id).toBe(other.id);
    expect((await resolve(id)).manifest.parent).toBeNull();
  });

  it('says what there is where it is not found', async () => {
    await written();
    await expect(resolve('v2')).rejects.toThrowError(
      expect.objectContaining({ code: 'snapshot-not-found', expected: ['latest'], got: 'v2' }),
    );
    await expect(resolve('0'.repeat(64))).rejects.toThrowError(coded('snapshot-not-found'));
    await expect(resolveSnapshot(place.store, 'other', 'latest')).rejects.toThrowError(
      expect.objectContaining({ code: 'dataset-not-found', expected: ['default'], got: 'other' }),
    );
  });

  it.each(['..', '../default', 'a/../b', '.x', '', 'a\0b'])('refuses the tag %j', async (tag) => {
    await written();
    await expect(resolve(tag)).rejects.toThrowError(coded('name-invalid'));
    await expect(resolveSnapshot(place.store, tag, 'latest')).rejects.toThrowError(
      coded('name-invalid'),
    );
  });

  it('lists data sets that are only being built, and no reserved folders', async () => {
    await place.store.write('plans/builds/a', Buffer.from('x'));
    await place.store.write('quarantine.json', Buffer.from('{}'));
    const status = {
      build: 'b',
      state: 'running' as const,
      snapshot: null,
      samples: 1,
      positions: 2,
      positionsTotal: 4,
      shards: 0,
      updatedMs: 5,
      error: null,
    };
    await writeBuildStatus(place.store, 'fresh', status);
    expect(await listDatasets(place.store)).toEqual(['fresh']);
    expect(await readBuildStatus(place.store, 'fresh')).toEqual([status]);
    expect(await readBuildStatus(place.store, 'other')).toEqual([]);
    const { positionsTotal: _, ...earlier } = status;
    await place.store.write('fresh/builds/b.json', Buffer.from(JSON.stringify(earlier)));
    const [read] = await readBuildStatus(place.store, 'fresh');
    expect(read).toEqual({ ...status, positionsTotal: null });
  });
});

describe('a manifest is refused', () => {
  it('where one bit of it is another', async () => {
    const { id } = await written();
    const bytes = await place.store.readAll(snapshotPath('default', id));
    for (let i = 0; i < bytes.length; i += 37) {
      const changed = Buffer.from(bytes);
      changed[i] ^= 1 << (i % 8);
      expect(() => parseManifest(changed, id)).toThrowError(coded('manifest-invalid'));
    }
    await place.store.write(snapshotPath('default', id), bytes.subarray(1));
    await expect(resolve('latest')).rejects.toThrowError(coded('manifest-invalid'));
  });

  it.each(['null', '5', '"text"', '[]', '{}', '', '{"version":1', 'tru'])(
    'where it is %j, with the right digest',
    async (text) => {
      const id = await store(undefined, text);
      await expect(resolve(id)).rejects.toThrowError(coded('manifest-invalid'));
    },
  );

  it.each([
    ['a later version', { version: 2 }],
    ['a later version of another form', { version: 3, files: 'elsewhere' }],
    ['an unknown feature', { features: ['sharded-manifest'] }],
  ])('as not supported where it has %s', async (_, change) => {
    const { manifest } = await written();
    const id = await store({ ...manifest, ...change });
    await expect(resolve(id)).rejects.toThrowError(coded('manifest-unsupported'));
  });

  it.each(['..', '../x.arrow', 'a/b.arrow', '/etc/passwd', 'a\\b', '.hidden', 'a\0', ''])(
    'where a file is called %j',
    async (name) => {
      const { manifest } = await written();
      const files = manifest.files.with(0, { ...manifest.files[0], name });
      await expect(resolve(await store({ ...manifest, files }))).rejects.toThrowError(
        expect.objectContaining({
          code: 'manifest-invalid',
          message: expect.stringContaining('files.0.name'),
        }),
      );
    },
  );

  it.each([
    ['an unknown key', (m: Manifest) => ({ ...m, extra: 1 })],
    ['no files', (m: Manifest) => ({ ...m, files: [] })],
    ['a version of 0', (m: Manifest) => ({ ...m, version: 0 })],
    ['a negative total', (m: Manifest) => ({ ...m, totals: { ...m.totals, samples: -1 } })],
    ['a short digest', (m: Manifest) => ({ ...m, content_id: 'abc' })],
    ['features that are no names', (m: Manifest) => ({ ...m, features: [5] })],
  ])('where it has %s', async (_, change) => {
    const { manifest } = await written();
    const id = await store(change(manifest));
    await expect(resolve(id)).rejects.toThrowError(coded('manifest-invalid'));
  });

  it('where a tag holds no digest', async () => {
    const { id } = await written();
    for (const text of ['', 'latest', '../../x', id.slice(1)]) {
      await place.store.write(tagPath('default', 'broken'), Buffer.from(text));
      await expect(resolve('broken')).rejects.toThrowError(coded('manifest-invalid'));
    }
  });
});
