/** Input files: small ones read whole, digests of any. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { LogitcaskError } from '../errors.ts';

/** Throws `source-unreadable`. */
export async function readInput(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code;
    const message = `capture: cannot read ${file} (${reason}); correct its path`;
    throw new LogitcaskError('source-unreadable', message, {
      expected: 'a file',
      got: file,
      cause,
    });
  }
}

/** SHA-256 (hex) of a file, streamed. */
export async function digestOfFile(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(file, { highWaterMark: 1024 * 1024 })) {
    hash.update(piece);
  }
  return hash.digest('hex');
}
