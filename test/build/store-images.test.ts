/** Images copied into the store: each once, whole and proved, whatever happens on the way. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { auditSnapshot } from '../../src/audit/audit.ts';
import { verifySnapshot } from '../../src/audit/verify.ts';
import { storeImages } from '../../src/build/store-images.ts';
import { LogitcaskError } from '../../src/errors.ts';
import { sha256Hex } from '../../src/formats/canonical.ts';
import { localImage } from '../../src/shard/local-image.ts';
import {
  imagesIndex,
  putImage,
  type StoredImage,
  storedImages,
} from '../../src/shard/stored-images.ts';
import type { Store } from '../../src/store/store.ts';
import { mine, noise, stored, unlike, useImageStores } from '../support/image-stores.ts';

const place = useImageStores();
const { fresh } = place;

describe('a build that stores its images', () => {
  it('has each once under its digest, and says how many and how large', async () => {
    const content = fc.uint8Array({ maxLength: 40 });
    const samples = fc
      .array(content, { minLength: 1, maxLength: 3 })
      .chain((contents) =>
        fc
          .array(fc.constantFrom(...contents), { minLength: 1, maxLength: 8 })
          .map((chosen) => chosen.map((bytes, i) => ({ bytes, geometry: [[i, 0, i + 1, 1]] }))),
      );
    await fc.assert(
      fc.asyncProperty(samples, async (chosen) => {
        const own = fresh(chosen);
        const { manifest } = await own.build();
        const digests = [...new Set(own.digests)].sort();
        expect(stored(own.path)).toEqual(digests.map((one) => `${one.slice(0, 2)}/${one}`));
        const sizes = digests.map((one) => readFileSync(own.inStore(one)).length);
        for (const one of digests) expect(sha256Hex(readFileSync(own.inStore(one)))).toBe(one);
        const bytes = sizes.reduce((sum, size) => sum + size, 0);
        expect(manifest.images).toEqual({ count: digests.length, bytes });
        expect(manifest.features).toContain('images');
        await own.with(async (store) => {
          const listed: StoredImage[] = [];
          for await (const image of storedImages(store, manifest)) listed.push(image);
          expect(listed).toEqual(digests.map((sha256, i) => ({ sha256, bytes: sizes[i] })));
          expect((await verifySnapshot(store, mine)).problems).toEqual([]);
          const { findings, integrity, size } = await auditSnapshot(store, mine);
          expect(findings).toEqual([]);
          const checked = digests.length;
          expect(integrity.images).toMatchObject({ stored: true, checked, skipped: 0, wrong: 0 });
          expect(size.images).toEqual(manifest.images);
        });
      }),
      { numRuns: 8 },
    );
  });

  it('lists the same whatever is sorted at a time', async () => {
    const samples = Array.from({ length: 40 }, (_, i) => ({ bytes: noise(i % 25) }));
    const own = fresh(samples);
    const { manifest, build: name } = await own.build();
    const index = imagesIndex(manifest);
    const { images: _, files, ...rest } = manifest;
    const before = { ...rest, features: [], files: files.filter((file) => file !== index) };
    await own.with(async (store) => {
      for (const passSamplesMax of [1, 7, 40]) {
        const again = await storeImages(store, before, { build: name, passSamplesMax });
        expect(imagesIndex(again)).toEqual(index);
        expect(again.images).toEqual({ count: 25, bytes: 25 * 300 });
      }
    });
  });

  it('mends images that are missing or damaged when it is run again', async () => {
    const own = fresh();
    const { snapshot } = await own.build();
    const [gone, changed] = own.digests.map(own.inStore);
    rmSync(gone);
    writeFileSync(changed, 'others');
    expect(await own.build()).toMatchObject({ snapshot, reused: true });
    await own.with(async (store) => {
      expect((await verifySnapshot(store, mine)).problems).toEqual([]);
    });
    rmSync(gone);
    rmSync(own.paths[0]);
    await expect(own.build()).rejects.toMatchObject({ code: 'source-unreadable' });
  });

  it('is another build than one that does not, of the same samples', async () => {
    const own = fresh();
    const bare = await own.build({ dataset: 'bare' }, { store_images: false });
    const whole = await own.build();
    expect(whole.build).not.toBe(bare.build);
    expect(whole.manifest.content_id).toBe(bare.manifest.content_id);
    expect(bare.manifest.images).toBeUndefined();
    expect(bare.manifest.features).toEqual([]);
    expect(readdirSync(join(own.path, 'bare'))).not.toContain('images');
  });

  it('refuses images that are missing, changed or out of reach, and goes on once they are back', async () => {
    const own = fresh();
    const expected = await fresh().build();
    const [first] = own.paths;
    const { length } = readFileSync(first);
    writeFileSync(first, noise(9, length));
    await expect(own.build()).rejects.toMatchObject({ code: 'source-mismatch' });
    expect(stored(own.path).join()).not.toContain(own.digests[0]);
    rmSync(first);
    const gone = own.build();
    await expect(gone).rejects.toMatchObject({ code: 'source-unreadable' });
    await expect(gone).rejects.toThrow('0.image cannot be read (ENOENT)');
    expect(readdirSync(join(own.path, 'mine'))).not.toContain('snapshots');
    writeFileSync(first, unlike[0].bytes);
    const done = await own.build();
    expect(done.resumedSamples).toBe(3);
    expect(done.positions).toBe(0);
    expect(done.manifest.images).toEqual(expected.manifest.images);
    expect(stored(own.path)).toHaveLength(3);
    const far = fresh([{ bytes: noise(1), uri: 's3://bucket/1.jpg' }]);
    const refused = far.build();
    await expect(refused).rejects.toMatchObject({ code: 'source-unreadable' });
    await expect(refused).rejects.toThrow('s3://bucket/1.jpg has no file: address');
  });

  it('proves an image that is there, and puts a good one in the place of a damaged one', async () => {
    const own = fresh();
    await own.build();
    const path = own.inStore(own.digests[1]);
    const good = readFileSync(path);
    writeFileSync(path, Buffer.from(good).fill(0, 7, 8));
    await own.build({ tag: 'again', codec: { type: 'raw' } });
    expect(readFileSync(path)).toEqual(good);
  });
});

describe('an image that is put into a store', () => {
  const bytes = noise(4, 1_000_000);
  const named = { dataset: 'mine', sha256: sha256Hex(bytes) };
  const whole = async function* () {
    for (let at = 0; at < bytes.length; at += 300_000) yield bytes.subarray(at, at + 300_000);
  };

  it('is not there where it changes, is cut or goes while it is copied', async () => {
    const own = fresh();
    const file = join(place.folder, 'changing');
    const changes: (() => void)[] = [
      () => writeFileSync(file, Buffer.from(bytes).fill(0, 900_000)),
      () => writeFileSync(file, bytes.subarray(0, 600_000)),
    ];
    await own.with(async (store) => {
      for (const change of changes) {
        writeFileSync(file, bytes);
        const pieces = async function* () {
          let isFirst = true;
          for await (const piece of localImage(new URL(`file://${file}`).href)) {
            yield piece;
            if (isFirst) change();
            isFirst = false;
          }
        };
        await expect(putImage(store, named, pieces())).rejects.toMatchObject({
          code: 'image-damaged',
        });
        expect(stored(own.path)).toEqual([]);
      }
      await expect(putImage(store, named, whole())).resolves.toBe(bytes.length);
      expect(readFileSync(own.inStore(named.sha256)).equals(bytes)).toBe(true);
    });
  });

  it('is there whole, or not at all, whatever step of the store fails', async () => {
    let failures = 0;
    for (let isDone = false; !isDone; failures++) {
      const own = fresh();
      await own.with(async (store) => {
        let left = failures + 1;
        const count = () => {
          if (--left === 0) throw new LogitcaskError('store-full', 'store: full');
        };
        const put = putImage(failing(store, count), named, whole());
        const ended = await put.catch((error: unknown) => error);
        isDone = left > 0;
        if (!isDone) expect(ended).toMatchObject({ code: 'store-full' });
        const names = await store.list(`mine/images/${named.sha256.slice(0, 2)}`);
        if (!isDone) expect(names).toEqual([]);
        else expect(readFileSync(own.inStore(named.sha256)).equals(bytes)).toBe(true);
      });
    }
    expect(failures).toBe(8); // size, create, four pieces, commit, and the one that succeeds
  });
});

/** `count` runs, and may fail, before each step of the store and of its writers. */
function failing(store: Store, count: () => void): Store {
  const watched = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(own, key) {
        const value = Reflect.get(own, key);
        if (typeof value !== 'function' || key === 'abort') return bound(value, own);
        return async (...given: unknown[]) => {
          count();
          const found = await value.apply(own, given);
          return key === 'create' ? watched(found) : found;
        };
      },
    });
  return watched(store);
}

const bound = (value: unknown, own: object) =>
  typeof value === 'function' ? value.bind(own) : value;
