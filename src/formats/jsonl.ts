/** JSON lines, plain or gzipped, one at a time: memory is bounded by the longest line. */
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';
import { LogitcaskError } from '../errors.ts';

/** Parsed, a line takes up to 13 times its bytes (`[[],[],…`). */
const lineBytesMax = 32 * 1024 * 1024;

export interface JsonLine {
  /** Counted from 1, empty ones included. */
  readonly line: number;
  readonly value: unknown;
}

/** How far a file has been read. */
export interface ReadMeter {
  /** Of its bytes as they lie on disk, about. */
  bytes: number;
}

/**
 * Python's `NaN` and `-Infinity`, which are no JSON, come as strings of that name. Throws
 * `source-unreadable`.
 */
export async function* readJsonLines(file: string, meter?: ReadMeter): AsyncGenerator<JsonLine> {
  let line = 0;
  for await (const bytes of linesOf(file, meter)) {
    line++;
    const text = bytes.toString().trim();
    if (text !== '') yield { line, value: parseLine(text, `line ${line} of ${file}`) };
  }
}

function parseLine(text: string, place: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // strings are matched, so that nothing inside of them is replaced
    const quoted = text.replace(/"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g, (found) =>
      found[0] === '"' ? found : `"${found}"`,
    );
    try {
      return JSON.parse(quoted);
    } catch (cause) {
      const [reason] = (cause as Error).message.split('\n');
      const message = `capture: ${place} is no JSON (${reason}); write one object a line`;
      throw new LogitcaskError('source-unreadable', message, { expected: 'JSON', cause });
    }
  }
}

export async function* linesOf(
  file: string,
  meter: ReadMeter = { bytes: 0 },
): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let length = 0;
  let line = 1;
  let before = 0;
  for await (const { piece, read } of piecesOf(file)) {
    let from = 0;
    for (let end = piece.indexOf(10); end >= 0; end = piece.indexOf(10, from)) {
      meter.bytes = before + ((read - before) * end) / piece.length;
      yield Buffer.concat([...parts, piece.subarray(from, end)]);
      [parts, length, from] = [[], 0, end + 1];
      line++;
    }
    before = read;
    parts.push(piece.subarray(from));
    length += piece.length - from;
    if (length > lineBytesMax) {
      const message = `capture: line ${line} of ${file} is over ${lineBytesMax} bytes; cut samples`;
      throw new LogitcaskError('source-unreadable', message, { expected: lineBytesMax });
    }
  }
  meter.bytes = before;
  yield Buffer.concat(parts);
}

/** Pieces of text, and the bytes of the file that were read up to each. */
async function* piecesOf(file: string): AsyncGenerator<{ piece: Buffer; read: number }> {
  const isGzip = (await firstBytes(file, 2)).equals(Buffer.of(0x1f, 0x8b));
  const raw = createReadStream(file, { highWaterMark: 256 * 1024 });
  const gunzip = isGzip ? createGunzip({ chunkSize: 256 * 1024 }) : undefined;
  raw.on('error', (error) => gunzip?.destroy(error));
  try {
    for await (const piece of gunzip === undefined ? raw : raw.pipe(gunzip)) {
      yield { piece, read: raw.bytesRead };
    }
  } catch (cause) {
    const { message: reason } = cause as Error;
    const message = `capture: cannot read ${file} (${reason}); give whole files`;
    throw new LogitcaskError('source-unreadable', message, { expected: 'JSON lines', cause });
  } finally {
    raw.destroy();
    gunzip?.destroy();
  }
}

/** The first bytes of a file, fewer where it is shorter. Throws `source-unreadable`. */
export async function firstBytes(file: string, length: number): Promise<Buffer> {
  const handle = await open(file).catch((cause) => {
    const message = `capture: cannot read ${file} (${cause.code}); correct its path`;
    throw new LogitcaskError('source-unreadable', message, { expected: 'a file', cause });
  });
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, 0);
    return buffer.subarray(0, bytesRead);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const message = `capture: cannot read ${file} (${code}); give files`;
    throw new LogitcaskError('source-unreadable', message, { expected: 'a file', cause });
  } finally {
    await handle.close();
  }
}
