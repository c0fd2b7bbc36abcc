/** Images that a snapshot stores, later on: damaged, named by nothing, taken elsewhere. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { auditSnapshot } from '../../src/audit/audit.ts';
import { findOrphans } from '../../src/audit/orphans.ts';
import { verifySnapshot } from '../../src/audit/verify.ts';
import { exportSnapshot, importSnapshot } from '../../src/convert.ts';
import { sha256Hex } from '../../src/formats/canonical.ts';
import { filePath, imagePath } from '../../src/shard/names.ts';
import { imagesIndex } from '../../src/shard/stored-images.ts';
import { mine, noise, stored, unlike, useImageStores } from '../support/image-stores.ts';

const place = useImageStores();
const { fresh } = place;

describe('stored images', () => {
  it('that are damaged or gone are named, by verify and by an audit', async () => {
    const own = fresh();
    await own.build();
    const [first, second] = own.digests;
    const path = own.inStore(first);
    writeFileSync(path, Buffer.from(readFileSync(path)).fill(0, 7, 8));
    rmSync(own.inStore(second));
    await own.with(async (store) => {
      const { problems } = await verifySnapshot(store, mine);
      const names = [first, second].map((one) => `images/${one.slice(0, 2)}/${one}`);
      expect(problems.map(({ file }) => file).sort()).toEqual(names.sort());
      expect(problems.map(({ code }) => code)).toEqual(['image-damaged', 'image-damaged']);
      const { findings, integrity } = await auditSnapshot(store, mine);
      expect(findings.map(({ code }) => code)).toEqual(['images-damaged']);
      expect(integrity.images).toMatchObject({ checked: 3, wrong: 2 });
      expect(integrity.images?.problems.map(({ ordinal, what }) => [ordinal, what])).toEqual([
        [0, 'changed'],
        [1, 'missing'],
      ]);
    });
    rmSync(own.paths[0]); // where they came from does not count
    writeFileSync(path, unlike[0].bytes);
    writeFileSync(own.inStore(second), unlike[1].bytes);
    await own.with(async (store) => {
      expect((await auditSnapshot(store, mine)).findings).toEqual([]);
    });
  });

  it('whose index is damaged are not believed, nor called orphans', async () => {
    const own = fresh();
    const { manifest } = await own.build();
    const index = imagesIndex(manifest)?.name ?? '';
    const path = join(own.path, filePath('mine', index));
    writeFileSync(path, Buffer.from(readFileSync(path)).fill(0, 3, 4));
    await own.with(async (store) => {
      const { problems } = await verifySnapshot(store, mine);
      expect(problems.map(({ file }) => file)).toEqual([index]);
      const { integrity } = await auditSnapshot(store, mine);
      expect(integrity.images).toBeNull();
      expect(integrity.orphans.total).toBe(0);
      expect(integrity.quarantined.rows).toEqual([index]);
    });
  });

  it('are orphans once no snapshot names them, and no build is under way', async () => {
    const own = fresh();
    await own.build();
    await own.with(async (store) => {
      const stray = imagePath('mine', sha256Hex(noise(8)));
      await store.write(stray, noise(8));
      expect(await findOrphans(store, 'mine')).toEqual([{ path: stray, bytes: 300 }]);
      await store.write('mine/locks/0123456789abcdef', Buffer.from('{}'));
      expect(await findOrphans(store, 'mine')).toEqual([]);
    });
  });

  it('go with their snapshot to Parquet and back', async () => {
    const own = fresh();
    const { manifest } = await own.build();
    const out = join(place.folder, 'out');
    const options = { ...mine, compression: 'zstd', folder: out } as const;
    await own.with((store) => exportSnapshot(store, { ...options, format: 'parquet' }));
    const other = fresh();
    await other.with(async (store) => {
      const taken = { ...options, dataset: 'mine', tag: 'latest', format: 'arrow' } as const;
      const back = await importSnapshot(store, taken);
      expect(back.manifest.images).toEqual(manifest.images);
      expect(back.manifest.features).toEqual(['images']);
      expect((await verifySnapshot(store, mine)).problems).toEqual([]);
      expect(stored(other.path)).toEqual(stored(own.path));
      const [damaged] = own.digests;
      writeFileSync(join(out, 'images', damaged.slice(0, 2), damaged), noise(9));
      const again = importSnapshot(store, { ...taken, dataset: 'again' });
      await expect(again).rejects.toMatchObject({ code: 'image-damaged' });
      expect(await store.list('again/snapshots')).toEqual([]);
    });
  });
});
