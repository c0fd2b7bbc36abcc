/**
 * Copies the images of a snapshot into its data set, each once, and lists them. It is done behind
 * the last shard: what an interrupted run has copied is proved and kept.
 */

import type { BuildConfig } from '../../schemas/build-config.ts';
import type { Manifest } from '../../schemas/manifest.ts';
import { digestFile } from '../audit/digests.ts';
import { damagedImages } from '../audit/images.ts';
import { LogitcaskError } from '../errors.ts';
import { textsOf } from '../formats/cells.ts';
import { imageReferences, isLocal, localImage } from '../shard/local-image.ts';
import { filePath, imagesIndexName } from '../shard/names.ts';
import { createReader } from '../shard/open-snapshot.ts';
import type { SnapshotReader } from '../shard/reader.ts';
import { imageOf } from '../shard/sample-id.ts';
import type { ResolvedSnapshot } from '../shard/snapshot.ts';
import { digestBytes, encodeImage, putImage } from '../shard/stored-images.ts';
import type { Store } from '../store/store.ts';

const passSamplesDefault = 1_000_000;
/** Each is a durable write, which waits more than it works. */
const copiesAtOnce = 8;
/** Digest; ordinal of a sample, f64. */
const entryBytes = digestBytes + 8;

export interface StoreImagesOptions {
  readonly build: string;
  readonly signal?: AbortSignal;
  /** Digests that are sorted in memory at a time. */
  readonly passSamplesMax?: number;
}

export function storesImages({ source }: { source?: BuildConfig['source'] }): boolean {
  return source?.type === 'vision' && source.store_images;
}

/**
 * The manifest with its images stored. Errors: `source-unreadable` (an image is missing, or lies
 * at another address than `file:`), `source-mismatch` (it has another digest), `interrupted`.
 */
export async function storeImages(
  store: Store,
  manifest: Manifest,
  options: StoreImagesOptions,
): Promise<Manifest> {
  const { build, passSamplesMax = passSamplesDefault } = options;
  const { dataset, features, files, totals } = manifest;
  const name = imagesIndexName(build);
  const path = filePath(dataset, name);
  const passes = Math.max(1, Math.ceil(totals.samples / passSamplesMax));
  const images = { count: 0, bytes: 0 };
  const reader = createReader(store, { id: '', manifest });
  const writer = await store.create(path);
  try {
    for (let pass = 0; pass < passes; pass++) {
      const ordinals = await distinct(reader, { pass, passes });
      for (let at = 0; at < ordinals.length; at += copiesAtOnce) {
        if (options.signal?.aborted) throw stopped();
        const some = [...ordinals.subarray(at, at + copiesAtOnce)];
        const copied = await Promise.allSettled(
          some.map((ordinal) => copy(store, reader, ordinal)),
        );
        for (const one of copied) {
          if (one.status === 'rejected') throw one.reason;
          await writer.append(encodeImage(one.value));
          images.count++;
          images.bytes += one.value.bytes;
        }
      }
    }
    await writer.commit();
  } catch (error) {
    await writer.abort();
    throw error;
  } finally {
    await reader.close();
  }
  const bytes = images.count * encodeImage({ sha256: '', bytes: 0 }).length;
  const sha256 = (await digestFile(store, path))?.toString('hex') ?? '';
  const index = { role: 'images' as const, name, bytes, sha256, samples: 0, positions: 0 };
  return {
    ...manifest,
    features: [...features, 'images'].sort(),
    files: [...files, index],
    images,
    totals: { ...totals, bytes: totals.bytes + bytes },
  };
}

/**
 * Copies images of a complete snapshot anew that are missing or damaged, so that building again
 * mends them; reads every one. Errors: those of `storeImages`, and `index-damaged`.
 */
export async function restoreImages(store: Store, snapshot: ResolvedSnapshot): Promise<void> {
  const damaged = new Set<string>();
  for await (const { sha256 } of damagedImages(store, snapshot.manifest)) damaged.add(sha256);
  if (damaged.size === 0) return;
  const reader = createReader(store, snapshot);
  try {
    for await (const references of imageReferences(reader)) {
      for (const { sha256, ordinal } of references) {
        if (damaged.delete(sha256)) await copy(store, reader, ordinal);
      }
    }
  } finally {
    await reader.close();
  }
}

/** Ordinals of the first samples with the images of a pass, by the digests of these. */
async function distinct(
  reader: SnapshotReader,
  { pass, passes }: { pass: number; passes: number },
): Promise<Float64Array> {
  const pieces: Buffer[] = [];
  for await (const references of imageReferences(reader)) {
    const piece = Buffer.alloc(references.length * entryBytes);
    let at = 0;
    for (const { sha256, ordinal } of references) {
      piece.write(sha256, at, 'hex');
      piece.writeDoubleLE(ordinal, at + digestBytes);
      if (Math.floor((piece.readUInt32BE(at) / 2 ** 32) * passes) === pass) at += entryBytes;
    }
    pieces.push(piece.subarray(0, at));
  }
  const entries = Buffer.concat(pieces);
  const compare = (a: number, b: number) =>
    entries.compare(
      entries,
      b * entryBytes,
      b * entryBytes + digestBytes,
      a * entryBytes,
      a * entryBytes + digestBytes,
    );
  // equal digests keep the order of their samples
  const order = Uint32Array.from({ length: entries.length / entryBytes }, (_, i) => i).sort(
    compare,
  );
  const first = order.filter((entry, i) => i === 0 || compare(order[i - 1], entry) !== 0);
  return Float64Array.from(first, (entry) =>
    entries.readDoubleLE(entry * entryBytes + digestBytes),
  );
}

async function copy(store: Store, reader: SnapshotReader, ordinal: number) {
  const { input_ref } = await reader.read([ordinal], ['input_ref']);
  const { sha256, uri } = imageOf(textsOf(input_ref)[0]);
  if (!isLocal(uri)) {
    const message = `build: image ${uri} has no file: address and cannot be stored; fetch it first`;
    throw new LogitcaskError('source-unreadable', message, { expected: 'file://…', got: uri });
  }
  const place = { dataset: reader.manifest.dataset, sha256 };
  try {
    return { sha256, bytes: await putImage(store, place, localImage(uri)) };
  } catch (error) {
    if (!(error instanceof LogitcaskError) || error.code !== 'image-damaged') throw error;
    const message = `build: image ${uri} is another than its digest says; restore it, or score it`;
    throw new LogitcaskError('source-mismatch', message, { expected: sha256, got: error.got });
  }
}

function stopped(): LogitcaskError {
  const message = 'build: stopped while images were copied; they are kept: run it again to go on';
  return new LogitcaskError('interrupted', message);
}
