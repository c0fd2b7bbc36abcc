/** Whether images are still what the teacher saw: those in reach, by their digests. */
import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { type AuditIntegrity, auditRowsMax } from '../../schemas/audit.ts';
import { textsOf } from '../formats/cells.ts';
import type { SnapshotReader } from '../shard/reader.ts';
import { imageOf } from '../shard/sample-id.ts';
import type { Paced } from './pass-shard.ts';

export type ImagesReport = NonNullable<AuditIntegrity['images']>;

const rowsAtOnce = 256;
const pieceBytes = 256 * 1024;

/**
 * Reads every local image of a snapshot; one of texts has none. `paced` is awaited with each
 * piece of at most 256 KiB, and ends the work by what it throws. Throws `shard-damaged`.
 */
export async function checkImages(
  reader: SnapshotReader,
  paced: Paced = async () => {},
): Promise<ImagesReport> {
  const problems: ImagesReport['problems'] = [];
  const counts = { checked: 0, skipped: 0, wrong: 0 };
  const { kind, totals } = reader.manifest;
  const samples = kind === 'vision' ? totals.samples : 0;
  for (let first = 0; first < samples; first += rowsAtOnce) {
    await paced(0);
    const rows = Math.min(rowsAtOnce, samples - first);
    const ordinals = Array.from({ length: rows }, (_, i) => first + i);
    const { input_ref } = await reader.read(ordinals, ['input_ref']);
    for (const [i, ref] of textsOf(input_ref).entries()) {
      const { sha256, uri } = imageOf(ref);
      if (!uri.startsWith('file:')) {
        counts.skipped++;
        continue;
      }
      counts.checked++;
      const found = await digestOf(uri, paced);
      if (found === sha256) continue;
      counts.wrong++;
      const what = found === undefined ? 'missing' : 'changed';
      if (problems.length < auditRowsMax) problems.push({ ordinal: first + i, uri, what });
    }
  }
  return { ...counts, problems };
}

/**
 * SHA-256 (hex) of a file, undefined where it cannot be read. Addresses are data: what is no
 * regular file, as a pipe or a device, might never end, and no more is read than was there first.
 */
async function digestOf(uri: string, paced: Paced): Promise<string | undefined> {
  const file = await openRegular(uri);
  if (file === undefined) return undefined; // reported as missing, with its address
  const hash = createHash('sha256');
  const piece = Buffer.allocUnsafe(pieceBytes);
  try {
    for (let left = file.size; left > 0; ) {
      const read = file.handle.read(piece, 0, Math.min(pieceBytes, left));
      const bytes = await read.then(
        ({ bytesRead }) => bytesRead,
        () => undefined,
      );
      if (bytes === undefined) return undefined;
      if (bytes === 0) break;
      hash.update(piece.subarray(0, bytes));
      left -= bytes;
      await paced(bytes);
    }
    return hash.digest('hex');
  } finally {
    await file.handle.close();
  }
}

async function openRegular(uri: string) {
  try {
    const path = fileURLToPath(uri);
    const found = await stat(path);
    return found.isFile() ? { size: found.size, handle: await open(path) } : undefined;
  } catch {
    return undefined;
  }
}
