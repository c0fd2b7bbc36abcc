/** Input files: small ones read whole, digests of any, large ones by all cores. */
import type { Stats } from 'node:fs';
import { open, readFile, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { LogitcaskError } from '../errors.ts';
import { digestOf } from '../formats/canonical.ts';
import { digestPiece, pieceBytes } from './digest-piece.ts';
import { createThreads, type Threads } from './threads.ts';

/** Throws `source-unreadable`. */
export async function readInput(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw unreadable(file, cause);
  }
}

/**
 * SHA-256 (hex) of a file; of one larger than 64 MiB, over the digests of its pieces, as a JSON
 * list. Throws `source-unreadable`, also where the file changes meanwhile. Without `threads`, a
 * large one starts its own, on all cores.
 */
export async function digestOfFile(file: string, threads?: Threads): Promise<string> {
  try {
    const handle = await open(file); // here, since errors of threads come without their code
    try {
      const before = await handle.stat();
      const { size } = before;
      const digest =
        size <= pieceBytes
          ? digestPiece({ file, from: 0 })
          : digestOf(await digestsOfPieces(file, size, threads));
      refuseChanged(file, before, await stat(file));
      return digest;
    } finally {
      await handle.close();
    }
  } catch (cause) {
    throw cause instanceof LogitcaskError ? cause : unreadable(file, cause);
  }
}

/** A digest of bytes that are no longer there would name a build of others. */
function refuseChanged(file: string, before: Stats, after: Stats): void {
  const isSame = (['ino', 'size', 'mtimeMs'] as const).every((key) => after[key] === before[key]);
  if (isSame) return;
  const message = `capture: ${file} changed while it was read; build when it is written`;
  throw new LogitcaskError('source-unreadable', message, {
    expected: before.size,
    got: after.size,
  });
}

async function digestsOfPieces(
  file: string,
  size: number,
  given: Threads | undefined,
): Promise<unknown[]> {
  const count = Math.ceil(size / pieceBytes);
  const threads = given ?? createThreads(availableParallelism());
  const tasks = Array.from({ length: count }, (_, i) => ({ file, from: i * pieceBytes }));
  try {
    return await Promise.all(tasks.map((task) => threads.run('digestPiece', task)));
  } finally {
    if (given === undefined) await threads.close();
  }
}

function unreadable(file: string, cause: unknown): LogitcaskError {
  const reason = (cause as NodeJS.ErrnoException).code;
  const message = `capture: cannot read ${file} (${reason}); correct its path`;
  return new LogitcaskError('source-unreadable', message, {
    expected: 'a file',
    got: file,
    cause,
  });
}
