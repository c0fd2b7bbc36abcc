/** The files of a snapshot that are not shards, and what all of them have to add up to. */
import type { Manifest, ManifestFile } from '../../schemas/manifest.ts';
import { decodeIndex } from '../shard/index-file.ts';
import { filePath, indexNameOf, shardsOf } from '../shard/names.ts';
import { createReader } from '../shard/open-snapshot.ts';
import { readReference } from '../shard/reference.ts';
import { shardDamaged } from '../shard/shard-file.ts';
import type { ResolvedSnapshot } from '../shard/snapshot.ts';
import { storedImages } from '../shard/stored-images.ts';
import type { Store } from '../store/store.ts';
import { digestFile, hashSampleIds } from './digests.ts';
import { attempt, checkDigest, checkSize, type Paced } from './pass-shard.ts';
import { type FoundProblem, wrongManifest } from './problem.ts';

/** Those that the pass does not read. */
export function otherFiles({ files }: Manifest): ManifestFile[] {
  const read = new Set<string>();
  for (const { name } of shardsOf({ files })) read.add(name).add(indexNameOf(name));
  return files.filter(({ name }) => !read.has(name));
}

/** Adds what is wrong with one of them. */
export async function checkFile(
  store: Store,
  { dataset, file, paced }: { dataset: string; file: ManifestFile; paced: Paced },
  problems: FoundProblem[],
): Promise<void> {
  await attempt(file.name, problems, async (proved) => {
    const path = filePath(dataset, file.name);
    await checkSize(store, path, file);
    checkDigest(file, (await digestFile(store, path, paced))?.toString('hex'));
    proved();
    if (file.role === 'reference') {
      let positions = 0;
      for await (const rows of readReference(store, path)) {
        await paced(0); // read already: it may only be stopped
        positions += rows.length;
      }
      if (positions !== file.positions) throw shardDamaged(file.name, file.positions, positions);
    }
    if (file.role === 'index' && file.samples > 0) {
      const { header } = decodeIndex(await store.readAll(path), path);
      throw shardDamaged(file.name, 'its shard', Buffer.from(header.shardDigest).toString('hex'));
    }
  });
}

/** Adds what does not add up, where every file is as it was written. */
export async function checkTotals(
  store: Store,
  { resolved, paced }: { resolved: ResolvedSnapshot; paced: Paced },
  problems: FoundProblem[],
): Promise<void> {
  if (problems.length > 0) return;
  const reader = createReader(store, resolved);
  await attempt('manifest.json', problems, async (proved) => {
    proved(); // its own digest is its name
    const { files, totals, content_id } = resolved.manifest;
    const total = (field: 'samples' | 'positions' | 'bytes', own: readonly ManifestFile[]) =>
      own.reduce((sum, file) => sum + file[field], 0);
    const shards = shardsOf(resolved.manifest);
    const sums = [total('samples', shards), total('positions', shards), total('bytes', files)];
    const stated = [totals.samples, totals.positions, totals.bytes];
    if (sums.join() !== stated.join()) throw wrongManifest(sums, stated);
    const images = { count: 0, bytes: 0 };
    for await (const { bytes } of storedImages(store, resolved.manifest)) {
      await paced(0);
      images.count++;
      images.bytes += bytes;
    }
    const named = resolved.manifest.images ?? { count: 0, bytes: 0 };
    if (images.count !== named.count || images.bytes !== named.bytes) {
      throw wrongManifest(images, named);
    }
    const contentId = await hashSampleIds(reader, paced);
    if (contentId !== content_id) throw wrongManifest(content_id, contentId);
  });
  await reader.close();
}
