/** Digests over stored things, in bounded memory. */
import { createHash } from 'node:crypto';
import type { SnapshotReader } from '../shard/reader.ts';
import type { Store } from '../store/store.ts';

/** Hashed in one go, which nothing else interrupts. */
const pieceBytes = 256 * 1024;
const idsAtOnce = 65_536;

/** SHA-256 of a stored file, undefined where there is none; `rest` is awaited after each piece. */
export async function digestFile(
  store: Store,
  path: string,
  rest?: (bytes: number) => Promise<void>,
): Promise<Buffer | undefined> {
  const size = await store.size(path);
  if (size === undefined) return undefined;
  const hash = createHash('sha256');
  for (let at = 0; at < size; at += pieceBytes) {
    const bytes = Math.min(pieceBytes, size - at);
    hash.update(await store.read(path, at, bytes));
    await rest?.(bytes);
  }
  return hash.digest();
}

/**
 * SHA-256 (hex) of the sample ids in order: a snapshot's content id; `rest` is awaited after each
 * piece.
 */
export async function hashSampleIds(
  reader: SnapshotReader,
  rest?: (bytes: number) => Promise<void>,
): Promise<string> {
  const { samples } = reader.manifest.totals;
  const hash = createHash('sha256');
  for (let at = 0; at < samples; at += idsAtOnce) {
    const ids = await reader.sampleIds(at, Math.min(samples, at + idsAtOnce));
    hash.update(ids);
    await rest?.(ids.length);
  }
  return hash.digest('hex');
}
