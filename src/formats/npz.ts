/** NumPy's `.npz`: a zip of `.npy` members, streamed; a member is never held whole. */
import type { Readable } from 'node:stream';
import { type Entry, openPromise, type ZipFile } from 'yauzl';
import { LogitcaskError } from '../errors.ts';
import { type NpyHeader, npyCount, npyHeaderBytesMax, parseNpyHeader } from './npy.ts';

/** One member, read forwards: its header, then its values piece by piece. */
export interface NpzMember {
  readonly header: NpyHeader;
  /** The next bytes; throws `source-unreadable` where the member ends before. */
  take(bytes: number): Promise<Buffer>;
  /** Skips bytes. */
  skip(bytes: number): Promise<void>;
  close(): void;
}

export interface Npz {
  /** Names without `.npy`. */
  readonly names: readonly string[];
  open(name: string): Promise<NpzMember>;
  close(): void;
}

const pieceBytes = 1024 * 1024;

export async function openNpz(file: string): Promise<Npz> {
  let zip: ZipFile;
  const entries = new Map<string, Entry>();
  try {
    zip = await openPromise(file, { autoClose: false });
    for await (const entry of zip.eachEntry()) {
      entries.set(entry.fileName.replace(/\.npy$/, ''), entry);
    }
  } catch (cause) {
    const message = `capture: ${file} cannot be read as .npz (${(cause as Error).message})`;
    throw new LogitcaskError('source-unreadable', message, { cause });
  }
  return {
    names: [...entries.keys()],
    async open(name) {
      const entry = entries.get(name);
      if (entry === undefined) {
        throw new LogitcaskError('source-unreadable', `capture: ${file} has no member ${name}`, {
          expected: name,
          got: [...entries.keys()].join(', '),
        });
      }
      const stream = await zip.openReadStreamPromise(entry);
      return openMember(stream, `${file}:${name}`, entry.uncompressedSize);
    },
    close: () => zip.close(),
  };
}

async function openMember(stream: Readable, file: string, size: number): Promise<NpzMember> {
  const pull = reader(stream, file);
  const prefix = await pull(Math.min(size, 12));
  const length = prefix[6] === 1 ? prefix.readUInt16LE(8) + 10 : prefix.readUInt32LE(8) + 12;
  const rest = await pull(Math.min(Math.max(0, length - 12), npyHeaderBytesMax));
  const header = parseNpyHeader(Buffer.concat([prefix, rest]), file);
  const expected = header.dataOffset + npyCount(header) * header.width;
  if (size !== expected) {
    const message = `capture: ${file} is not whole; write it again`;
    throw new LogitcaskError('source-unreadable', message, { expected, got: size });
  }
  return {
    header,
    take: pull,
    async skip(bytes) {
      for (let left = bytes; left > 0; left -= pieceBytes) await pull(Math.min(left, pieceBytes));
    },
    close: () => stream.destroy(),
  };
}

/** Reads exact numbers of bytes from a stream. */
function reader(stream: Readable, file: string): (bytes: number) => Promise<Buffer> {
  const pieces = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let held: Buffer[] = [];
  let heldBytes = 0;
  return async (bytes) => {
    while (heldBytes < bytes) {
      const next = await pieces.next().catch((cause) => {
        const message = `capture: ${file} is damaged (${cause.message})`;
        throw new LogitcaskError('source-unreadable', message, { cause });
      });
      if (next.done === true) {
        const message = `capture: ${file} ends early; write it again`;
        throw new LogitcaskError('source-unreadable', message, { expected: bytes, got: heldBytes });
      }
      held.push(next.value);
      heldBytes += next.value.length;
    }
    const all = Buffer.concat(held);
    held = [all.subarray(bytes)];
    heldBytes -= bytes;
    return all.subarray(0, bytes);
  };
}
