/** Large data sets at little cost: links to the shards of a small one, so that all is there. */
import { linkSync } from 'node:fs';
import { join } from 'node:path';
import type { Manifest, ManifestFile } from '../schemas/manifest.ts';
import { resolveSnapshot, writeSnapshot } from '../src/shard/snapshot.ts';
import { openStore } from '../src/store/table.ts';

/** Points `latest` at a snapshot that lists the shards so often; `copiesOf` has their bytes. */
export async function multiply(
  folder: string,
  dataset: string,
  copiesOf: (bytes: number) => number,
): Promise<Manifest> {
  const store = await openStore(folder);
  const { manifest } = await resolveSnapshot(store, dataset, 'latest');
  const files = join(folder, dataset, 'files');
  const shards = manifest.files.filter(({ role }) => role === 'shard');
  const bytes = shards.reduce((sum, shard) => sum + shard.bytes, 0);
  const copies = copiesOf(bytes);
  const listed: ManifestFile[] = [];
  for (let copy = 0; copy < copies; copy++) {
    for (const shard of shards) {
      const index = shard.name.replace('.arrow', '.index');
      const parts = [shard, manifest.files.find(({ name }) => name === index)];
      for (const part of parts) {
        if (part === undefined) throw new Error(`${index} is not listed`);
        const name = `copy${copy}-${part.name}`;
        linkSync(join(files, part.name), join(files, name));
        listed.push({ ...part, name });
      }
    }
  }
  const { samples, positions, learned } = manifest.totals;
  const totals = {
    samples: samples * copies,
    positions: positions * copies,
    learned: learned * copies,
    bytes: bytes * copies,
  };
  const large = { ...manifest, files: listed, totals };
  await writeSnapshot(store, large, 'latest');
  await store.close();
  return large;
}
