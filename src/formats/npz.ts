/** NumPy's `.npz`: a zip of `.npy` members, streamed; a member is never held whole. */
import { createReadStream } from 'node:fs';
import { pipeline, type Readable } from 'node:stream';
import { crc32, createInflateRaw } from 'node:zlib';
import { type Entry, openPromise, type ZipFile } from 'yauzl';
import { LogitcaskError } from '../errors.ts';
import { checkNpySize, type NpyHeader, npyHeaderBytesMax, parseNpyHeader } from './npy.ts';

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

/** Throws `source-unreadable`: the file is no zip; `open`: a member is missing or damaged. */
export async function openNpz(file: string): Promise<Npz> {
  const zip = await openPromise(file, { autoClose: false }).catch((cause) => {
    throw unreadable(file, cause);
  });
  const entries = new Map<string, Entry>();
  try {
    for await (const entry of zip.eachEntry()) {
      entries.set(entry.fileName.replace(/\.npy$/, ''), entry);
    }
  } catch (cause) {
    zip.close();
    throw unreadable(file, cause as Error);
  }
  return {
    names: [...entries.keys()],
    async open(name) {
      const entry = entries.get(name);
      const names = [...entries.keys()].join(', ');
      if (entry === undefined) {
        const message = `capture: ${file} has no member ${name}, only ${names}; export it again`;
        throw new LogitcaskError('source-unreadable', message, { expected: name, got: names });
      }
      const label = `${file}:${name}`;
      const stream = await streamOf(file, zip, entry).catch((cause) => {
        throw unreadable(label, cause);
      });
      return openMember(stream, label, { size: entry.uncompressedSize, crc32: entry.crc32 });
    },
    close: () => zip.close(),
  };
}

/**
 * The bytes of a member. The library's own streams end the process when one is destroyed while
 * another one reads.
 */
async function streamOf(file: string, zip: ZipFile, entry: Entry): Promise<Readable> {
  const { compressionMethod: method, compressedSize } = entry;
  if (!(method === 0 || method === 8) || entry.isEncrypted() || compressedSize === 0) {
    throw new Error(`compression ${method} of ${compressedSize} bytes`);
  }
  const { fileDataStart: start } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
  const raw = createReadStream(file, { start, end: start + compressedSize - 1 });
  // its error reaches the reader by the stream that is returned
  return method === 0 ? raw : pipeline(raw, createInflateRaw(), () => {});
}

function unreadable(file: string, cause: Error): LogitcaskError {
  const message = `capture: ${file} cannot be read as .npz (${cause.message}); write it again`;
  return new LogitcaskError('source-unreadable', message, { expected: 'a whole .npz', cause });
}

interface MemberEnd {
  readonly size: number;
  readonly crc32: number;
}

async function openMember(stream: Readable, file: string, end: MemberEnd): Promise<NpzMember> {
  const pull = reader(stream, file, end);
  const { size } = end;
  try {
    const prefix = await pull(Math.min(size, 12));
    const rest = await pull(Math.min(size, headerEnd(prefix), npyHeaderBytesMax) - prefix.length);
    const header = parseNpyHeader(Buffer.concat([prefix, rest]), file);
    checkNpySize(header, size, file);
    return {
      header,
      take: pull,
      async skip(bytes) {
        for (let left = bytes; left > 0; left -= pieceBytes) await pull(Math.min(left, pieceBytes));
      },
      close: () => stream.destroy(),
    };
  } catch (error) {
    stream.destroy();
    throw error;
  }
}

/** Where the values begin; the parser refuses what is no header. */
function headerEnd(prefix: Buffer): number {
  if (prefix.length < 12) return prefix.length;
  return prefix[6] === 1 ? 10 + prefix.readUInt16LE(8) : 12 + prefix.readUInt32LE(8);
}

/** Reads exact numbers of bytes from a stream; the last proves the CRC, which yauzl does not. */
function reader(stream: Readable, file: string, { size, crc32: expected }: MemberEnd) {
  const pieces = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let held: Buffer[] = [];
  let heldBytes = 0;
  let seen = 0;
  let crc = 0;
  return async (bytes: number): Promise<Buffer> => {
    while (heldBytes < bytes) {
      const next = await pieces.next().catch((cause) => {
        throw unreadable(file, cause);
      });
      if (next.done === true) throw unreadable(file, new Error('it ends early'));
      held.push(next.value);
      heldBytes += next.value.length;
      seen += next.value.length;
      crc = crc32(next.value, crc);
      if (seen > size) throw unreadable(file, new Error('it is longer than it says'));
      if (seen === size && crc !== expected) throw unreadable(file, new Error('wrong CRC-32'));
    }
    const all = held.length === 1 ? held[0] : Buffer.concat(held);
    held = [all.subarray(bytes)];
    heldBytes -= bytes;
    return all.subarray(0, bytes);
  };
}
