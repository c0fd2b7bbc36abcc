/** The digest of a piece of an input file: the work of threads. Reads into memory of its own. */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';

/** A file of this size is read here in a tenth of a second: a small build starts no thread. */
export const pieceBytes = 64 * 1024 * 1024;

export interface PieceTask {
  readonly file: string;
  readonly from: number;
}

const bytes = Buffer.allocUnsafeSlow(1024 * 1024);

/** SHA-256 (hex) of the bytes of `file` from `from` on, at most 64 MiB. */
export function digestPiece({ file, from }: PieceTask): string {
  const hash = createHash('sha256');
  const handle = openSync(file, 'r');
  try {
    for (let at = 0; at < pieceBytes; ) {
      const read = readSync(handle, bytes, 0, bytes.length, from + at);
      if (read === 0) break;
      hash.update(bytes.subarray(0, Math.min(read, pieceBytes - at)));
      at += read;
    }
  } finally {
    closeSync(handle);
  }
  return hash.digest('hex');
}
