/** Images of samples: what their references say, and the bytes of those on this machine. */
import { open, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { LogitcaskError } from '../errors.ts';
import { textsOf } from '../formats/cells.ts';
import type { SnapshotReader } from './reader.ts';
import { imageOf } from './sample-id.ts';

const rowsAtOnce = 256;
const pieceBytes = 256 * 1024;

export interface ImageReference {
  readonly ordinal: number;
  readonly sha256: string;
  readonly uri: string;
}

/** The images of a snapshot's samples, in runs, in order; none of texts. Throws `shard-damaged`. */
export async function* imageReferences(reader: SnapshotReader): AsyncGenerator<ImageReference[]> {
  const { kind, totals } = reader.manifest;
  const samples = kind === 'vision' ? totals.samples : 0;
  for (let first = 0; first < samples; first += rowsAtOnce) {
    const rows = Math.min(rowsAtOnce, samples - first);
    const ordinals = Array.from({ length: rows }, (_, i) => first + i);
    const { input_ref } = await reader.read(ordinals, ['input_ref']);
    yield textsOf(input_ref).map((ref, i) => ({ ordinal: first + i, ...imageOf(ref) }));
  }
}

export const isLocal = (uri: string) => uri.startsWith('file:');

/**
 * The bytes at a `file:` address, in pieces that hold until the next one is asked for. Addresses
 * are data: what is no regular file, as a pipe or a device, might never end, and no more is read
 * than was there first. Throws `source-unreadable`.
 */
export async function* localImage(uri: string): AsyncGenerator<Buffer> {
  const file = await openRegular(uri);
  const piece = Buffer.allocUnsafe(Math.min(pieceBytes, Math.max(1, file.size)));
  try {
    for (let left = file.size; left > 0; ) {
      const read = file.handle.read(piece, 0, Math.min(piece.length, left));
      const { bytesRead } = await read.catch((cause) => {
        throw unreadable(uri, cause);
      });
      if (bytesRead === 0) return;
      left -= bytesRead;
      yield piece.subarray(0, bytesRead);
    }
  } finally {
    await file.handle.close();
  }
}

async function openRegular(uri: string) {
  try {
    const path = fileURLToPath(uri);
    const found = await stat(path);
    if (!found.isFile()) throw new Error('it is no regular file');
    return { size: found.size, handle: await open(path) };
  } catch (cause) {
    throw unreadable(uri, cause);
  }
}

function unreadable(uri: string, cause: unknown): LogitcaskError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const text = `image: ${uri} cannot be read (${code ?? message}); put it back`;
  return new LogitcaskError('source-unreadable', text, { got: uri, cause });
}
