/** Plain text, one document a block with blank lines between, read line by line. */
import { LogitcaskError } from '../errors.ts';
import { linesOf, type ReadMeter } from '../formats/jsonl.ts';

const documentCharsMax = 16 * 1024 * 1024;
const decoder = new TextDecoder('utf-8', { fatal: true });

/** Throws `source-unreadable`. */
export async function* textDocuments(file: string, meter?: ReadMeter): AsyncGenerator<string> {
  let lines: string[] = [];
  let length = 0;
  for await (const bytes of linesOf(file, meter)) {
    const line = decode(bytes, file);
    if (line.trim() === '') {
      if (lines.length > 0) yield lines.join('\n').trim();
      lines = [];
      length = 0;
      continue;
    }
    lines.push(line);
    length += line.length + 1;
    if (length <= documentCharsMax) continue;
    const message = `capture: ${file} has a document of over ${documentCharsMax} characters`;
    const expected = 'blank lines between documents';
    throw new LogitcaskError('source-unreadable', message, { expected, got: length });
  }
  if (lines.length > 0) yield lines.join('\n').trim();
}

function decode(bytes: Uint8Array, file: string): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    const message = `capture: ${file} is no UTF-8 text`;
    throw new LogitcaskError('source-unreadable', message, { cause });
  }
}
