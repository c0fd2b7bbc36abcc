/** An input file that is small enough to be read whole. */
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
