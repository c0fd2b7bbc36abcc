/**
 * Images that a snapshot stores: each lies in the data set once, under its digest, whatever
 * snapshots name it, and `{build}-images.index` lists digests and sizes of those of one snapshot.
 */
import { createHash } from 'node:crypto';
import type { Manifest, ManifestFile } from '../../schemas/manifest.ts';
import { LogitcaskError } from '../errors.ts';
import type { Store } from '../store/store.ts';
import { indexDamaged } from './index-file.ts';
import { filePath, imagePath } from './names.ts';

export const digestBytes = 32;
/** SHA-256; bytes u64. Ascending by digest, no header. */
export const recordBytes = digestBytes + 8;
const recordsAtOnce = 1024;
const pieceBytes = 256 * 1024;

export interface StoredImage {
  readonly sha256: string;
  readonly bytes: number;
}

/** The index of a snapshot's images; undefined where they are not stored. */
export function imagesIndex({ files }: Pick<Manifest, 'files'>): ManifestFile | undefined {
  return files.find(({ role }) => role === 'images');
}

export function encodeImage({ sha256, bytes }: StoredImage): Buffer {
  const record = Buffer.alloc(recordBytes);
  record.write(sha256, 'hex');
  record.writeBigUInt64LE(BigInt(bytes), digestBytes);
  return record;
}

function decodeImage(record: Buffer): StoredImage {
  return {
    sha256: record.toString('hex', 0, digestBytes),
    bytes: Number(record.readBigUInt64LE(digestBytes)),
  };
}

/**
 * The stored images of a snapshot in order of digests, from `first` on; none where it stores none.
 * Throws `index-damaged`.
 */
export async function* storedImages(
  store: Store,
  manifest: Pick<Manifest, 'dataset' | 'files'>,
  first = 0,
): AsyncGenerator<StoredImage> {
  const file = imagesIndex(manifest);
  if (file === undefined) return;
  const path = filePath(manifest.dataset, file.name);
  if (file.bytes % recordBytes !== 0) throw indexDamaged(file.name, 'whole records', file.bytes);
  let last = '';
  for (let at = first * recordBytes; at < file.bytes; at += recordsAtOnce * recordBytes) {
    const piece = await store.read(
      path,
      at,
      Math.min(recordsAtOnce * recordBytes, file.bytes - at),
    );
    for (let i = 0; i < piece.length; i += recordBytes) {
      const image = decodeImage(piece.subarray(i, i + recordBytes));
      if (image.sha256 <= last) throw indexDamaged(file.name, `above ${last}`, image.sha256);
      last = image.sha256;
      yield image;
    }
  }
}

/** How many of the images have a digest below this one, and the first that has not, if any. */
export async function findImage(
  store: Store,
  manifest: Pick<Manifest, 'dataset' | 'files'>,
  sha256: string,
): Promise<{ before: number; image: StoredImage | undefined }> {
  const file = imagesIndex(manifest);
  if (file === undefined) return { before: 0, image: undefined };
  const path = filePath(manifest.dataset, file.name);
  const at = async (i: number) => decodeImage(await store.read(path, i * recordBytes, recordBytes));
  const count = Math.floor(file.bytes / recordBytes);
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if ((await at(middle)).sha256 < sha256) low = middle + 1;
    else high = middle;
  }
  return { before: low, image: low < count ? await at(low) : undefined };
}

/** The bytes of a stored image, in pieces. Throws `store-not-found`. */
export async function* storedImage(
  store: Store,
  { dataset, sha256 }: { dataset: string; sha256: string },
): AsyncGenerator<Buffer> {
  const path = imagePath(dataset, sha256);
  const size = await store.size(path);
  if (size === undefined) {
    const message = `image: ${sha256} is not in the store`;
    throw new LogitcaskError('store-not-found', message, { got: path });
  }
  for (let at = 0; at < size; at += pieceBytes) {
    yield await store.read(path, at, Math.min(pieceBytes, size - at));
  }
}

/** SHA-256 (hex) and size of an image; undefined where it is missing. `paced` as in an audit. */
export async function proveImage(
  pieces: AsyncIterable<Buffer>,
  paced: (bytes: number) => Promise<void> = async () => {},
): Promise<StoredImage | undefined> {
  const hash = createHash('sha256');
  let bytes = 0;
  const iterator = pieces[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await iterator.next().catch((error: unknown) => {
        if (isMissing(error)) return undefined;
        throw error;
      });
      if (next === undefined) return undefined;
      if (next.done) return { sha256: hash.digest('hex'), bytes };
      hash.update(next.value);
      bytes += next.value.length;
      await paced(next.value.length);
    }
  } finally {
    await iterator.return?.();
  }
}

function isMissing(error: unknown): boolean {
  if (!(error instanceof LogitcaskError)) return false;
  // a link in the place of a stored image is none, though the store fails to follow it
  const isLink = (error.cause as NodeJS.ErrnoException | undefined)?.code === 'ELOOP';
  return isLink || ['source-unreadable', 'store-not-found'].includes(error.code);
}

/**
 * Puts an image into a data set, whole and proved, or not at all; one that is there and is whole
 * stays as it is. Returns its size. Throws `image-damaged` where the pieces have another digest.
 */
export async function putImage(
  store: Store,
  { dataset, sha256 }: { dataset: string; sha256: string },
  pieces: AsyncIterable<Buffer>,
): Promise<number> {
  const known = await proveImage(storedImage(store, { dataset, sha256 }));
  if (known?.sha256 === sha256) return known.bytes;
  const writer = await store.create(imagePath(dataset, sha256));
  try {
    const hash = createHash('sha256');
    for await (const piece of pieces) {
      hash.update(piece);
      await writer.append(piece);
    }
    const got = hash.digest('hex');
    if (got !== sha256) throw imageDamaged(sha256, got);
    await writer.commit();
    return writer.bytesWritten;
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

/** `got`: another digest, or that there is nothing. */
export function imageDamaged(sha256: string, got: string): LogitcaskError {
  const message = `image: ${sha256} is not the image that the teacher saw; restore a good copy`;
  return new LogitcaskError('image-damaged', message, { expected: sha256, got });
}
