/** Plain text, one document a block with blank lines between, read piece by piece. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';
import { LogitcaskError } from '../errors.ts';

const documentCharsMax = 16 * 1024 * 1024;

/** Throws `source-unreadable`. */
export async function* textDocuments(file: string): AsyncGenerator<string> {
  const bytes = createReadStream(file);
  const input = file.endsWith('.gz') ? bytes.pipe(createGunzip()) : bytes;
  let lines: string[] = [];
  let length = 0;
  try {
    // a pipe does not pass on the error of its source
    const failed = new Promise<never>((_, reject) => bytes.once('error', reject));
    failed.catch(() => {});
    const reader = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
    await Promise.race([
      failed,
      new Promise<void>((resolve) => bytes.once('ready', () => resolve())),
    ]);
    for await (const line of reader) {
      if (line.trim() !== '') {
        lines.push(line);
        length += line.length + 1;
        if (length > documentCharsMax) throw new Error(`a document of over ${documentCharsMax}`);
        continue;
      }
      if (lines.length > 0) yield lines.join('\n').trim();
      lines = [];
      length = 0;
    }
    if (lines.length > 0) yield lines.join('\n').trim();
  } catch (cause) {
    const message = `capture: cannot read ${file} (${(cause as Error).message})`;
    throw new LogitcaskError('source-unreadable', message, { cause });
  }
}
