/** Whether images are still what the teacher saw: stored ones, or else those in reach. */
import { type AuditIntegrity, auditRowsMax } from '../../schemas/audit.ts';
import type { Manifest } from '../../schemas/manifest.ts';
import { imageReferences, isLocal, localImage } from '../shard/local-image.ts';
import type { SnapshotReader } from '../shard/reader.ts';
import { imageDamaged, proveImage, storedImage, storedImages } from '../shard/stored-images.ts';
import type { Store } from '../store/store.ts';
import { noFile, type Paced } from './pass-shard.ts';

export type ImagesReport = NonNullable<AuditIntegrity['images']>;
type What = ImagesReport['problems'][number]['what'];

const unpaced: Paced = async () => {};

/**
 * Reads every stored image of a snapshot, or where it stores none every local one; one of texts has
 * none. `paced` is awaited with each piece of at most 256 KiB, and ends the work by what it throws.
 * Throws `shard-damaged`, `index-damaged`.
 */
export function checkImages(
  store: Store,
  reader: SnapshotReader,
  paced: Paced = unpaced,
): Promise<ImagesReport> {
  const isStored = reader.manifest.images !== undefined;
  return isStored ? checkStored(store, reader, paced) : checkLocal(reader, paced);
}

async function checkLocal(reader: SnapshotReader, paced: Paced): Promise<ImagesReport> {
  const problems: ImagesReport['problems'] = [];
  const counts = { checked: 0, skipped: 0, wrong: 0 };
  for await (const references of imageReferences(reader)) {
    await paced(0);
    for (const { ordinal, sha256, uri } of references) {
      if (!isLocal(uri)) {
        counts.skipped++;
        continue;
      }
      counts.checked++;
      const found = await proveImage(localImage(uri), paced);
      if (found?.sha256 === sha256) continue;
      counts.wrong++;
      const what = found === undefined ? 'missing' : 'changed';
      if (problems.length < auditRowsMax) problems.push({ ordinal, uri, what });
    }
  }
  return { stored: false, ...counts, problems };
}

/** Stored images that are missing or have another digest, each with the error that says so. */
export async function* damagedImages(
  store: Store,
  manifest: Manifest,
  { paced = unpaced, onProved }: { paced?: Paced; onProved?: (bytes: number) => void } = {},
) {
  const { dataset } = manifest;
  for await (const { sha256, bytes } of storedImages(store, manifest)) {
    await paced(0);
    const found = await proveImage(storedImage(store, { dataset, sha256 }), paced);
    onProved?.(bytes);
    if (found?.sha256 === sha256) continue;
    yield { sha256, error: imageDamaged(sha256, found?.sha256 ?? noFile) };
  }
}

/** Each stored image once, whatever samples have it; a problem names the first of these. */
async function checkStored(
  store: Store,
  reader: SnapshotReader,
  paced: Paced,
): Promise<ImagesReport> {
  const counts = { checked: 0, skipped: 0, wrong: 0 };
  const named = new Map<string, What>();
  const onProved = () => {
    counts.checked++;
  };
  for await (const { sha256, error } of damagedImages(store, reader.manifest, {
    paced,
    onProved,
  })) {
    counts.wrong++;
    if (named.size < auditRowsMax) named.set(sha256, error.got === noFile ? 'missing' : 'changed');
  }
  const problems: ImagesReport['problems'] = [];
  for await (const references of named.size > 0 ? imageReferences(reader) : []) {
    await paced(0);
    for (const { ordinal, sha256, uri } of references) {
      const what = named.get(sha256);
      if (what !== undefined) problems.push({ ordinal, uri, what });
      named.delete(sha256);
    }
  }
  return { stored: true, ...counts, problems };
}
