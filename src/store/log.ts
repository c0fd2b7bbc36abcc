/**
 * An append-only file of records, durable before they are acknowledged. A record is its length and
 * the CRC-32 of length and bytes (uint32, little-endian each), then its bytes; the file begins with
 * eight bytes of magic.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { LogitcaskError } from '../errors.ts';
import { guard } from './file-errors.ts';
import { makeFolder, syncFolder } from './folders.ts';

export interface Log {
  /** Bytes of the file, up to the last durable record. */
  readonly bytes: number;
  readonly isEmpty: boolean;
  /** What lay behind the last whole record when it was opened: never acknowledged, and cut off. */
  readonly torn: number;
  /** Records before whole ones that failed their checksum when it was opened; they are left out. */
  readonly damaged: number;
  /**
   * Durable when it resolves, to the record's offset; appends that wait at the same time share one
   * sync. After an error the log holds what it held before.
   */
  append(record: Uint8Array): Promise<number>;
  /** The record at an offset. Throws `log-damaged`. */
  read(offset: number): Promise<Buffer>;
  close(): Promise<void>;
}

const magic = Buffer.from('LGCKLOG1');
const headBytes = 8;
/** Longest record. */
export const recordBytesMax = 256 * 1024 * 1024;
const pieceBytes = 1024 * 1024;
/** Bytes that one write and sync take along. */
const groupBytesMax = 16 * 1024 * 1024;

interface Waiting {
  readonly head: Buffer;
  readonly record: Uint8Array;
  resolve(offset: number): void;
  reject(error: unknown): void;
}

export async function openFileLog(
  path: string,
  name: string,
  visit: (record: Buffer, offset: number) => void,
): Promise<Log> {
  return guard(`open ${name}`, async () => {
    await makeFolder(dirname(path));
    const handle = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW);
    try {
      const { size } = await handle.stat();
      const found = await scan(handle, size, name, visit);
      if (found.end < size) await handle.truncate(found.end);
      if (found.end === 0) await handle.write(magic, 0, magic.length, 0);
      await handle.sync();
      await syncFolder(dirname(path));
      return new FileLog(handle, name, found, size - found.end);
    } catch (error) {
      await handle.close();
      throw error;
    }
  });
}

interface Found {
  /** Behind the last whole record. */
  readonly end: number;
  readonly damaged: number;
}

/** Walks the records; one that fails counts as damaged only where a whole one follows. */
async function scan(
  handle: FileHandle,
  size: number,
  name: string,
  visit: (record: Buffer, offset: number) => void,
): Promise<Found> {
  const read = windowOf(handle, size);
  const first = await read(0, Math.min(size, magic.length));
  if (!first.equals(magic.subarray(0, first.length))) {
    const message = `store: ${name} is no log; move it away`;
    throw new LogitcaskError('log-damaged', message, { expected: magic.toString('latin1') });
  }
  let end = first.length < magic.length ? 0 : magic.length;
  let failed = 0;
  let damaged = 0;
  for (let at = magic.length; at + headBytes <= size; ) {
    const head = await read(at, headBytes);
    const length = head.readUInt32LE(0);
    if (length > recordBytesMax || at + headBytes + length > size) break;
    const record = await read(at + headBytes, length);
    if (crcOf(head, record) === head.readUInt32LE(4)) {
      visit(record, at);
      damaged += failed;
      failed = 0;
      end = at + headBytes + length;
    } else failed++;
    at += headBytes + length;
  }
  return { end, damaged };
}

function crcOf(head: Buffer, record: Uint8Array): number {
  return crc32(record, crc32(head.subarray(0, 4)));
}

/** Reads short ranges, in order, from pieces of the file. */
function windowOf(handle: FileHandle, size: number) {
  let piece: Buffer = Buffer.alloc(0);
  let start = 0;
  return async (from: number, length: number): Promise<Buffer> => {
    if (from < start || from + length > start + piece.length) {
      start = from;
      piece = await readAt(handle, from, Math.min(size - from, Math.max(length, pieceBytes)));
    }
    return piece.subarray(from - start, from - start + length);
  };
}

async function readAt(handle: FileHandle, from: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  for (let at = 0; at < length; ) {
    const { bytesRead } = await handle.read(buffer, at, length - at, from + at);
    if (bytesRead === 0) return buffer.subarray(0, at);
    at += bytesRead;
  }
  return buffer;
}

class FileLog implements Log {
  bytes: number;
  readonly torn: number;
  readonly damaged: number;
  readonly #handle: FileHandle;
  readonly #name: string;
  readonly #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;
  /** An append failed in the middle: what it left is taken away by the next one. */
  #isUnclean = false;

  constructor(handle: FileHandle, name: string, found: Found, torn: number) {
    this.#handle = handle;
    this.#name = name;
    this.bytes = Math.max(found.end, magic.length);
    this.damaged = found.damaged;
    this.torn = torn;
  }

  get isEmpty(): boolean {
    return this.bytes === magic.length;
  }

  append(record: Uint8Array): Promise<number> {
    if (record.length > recordBytesMax) {
      const message = `store: a record of ${record.length} bytes is too long for ${this.#name}`;
      const details = { expected: `at most ${recordBytesMax} bytes`, got: record.length };
      return Promise.reject(new LogitcaskError('store-failed', message, details));
    }
    const head = Buffer.alloc(headBytes);
    head.writeUInt32LE(record.length, 0);
    head.writeUInt32LE(crcOf(head, record), 4);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ head, record, resolve, reject });
      this.#writing ??= this.#writeAll();
    });
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) await this.#writeGroup(this.#takeGroup());
    this.#writing = undefined;
  }

  #takeGroup(): Waiting[] {
    let count = 0;
    for (let bytes = 0; count < this.#waiting.length && bytes < groupBytesMax; count++) {
      bytes += headBytes + this.#waiting[count].record.length;
    }
    return this.#waiting.splice(0, count);
  }

  async #writeGroup(group: readonly Waiting[]): Promise<void> {
    const start = this.bytes;
    try {
      await guard(`append to ${this.#name}`, async () => {
        if (this.#isUnclean) await this.#handle.truncate(start);
        this.#isUnclean = true;
        let at = start;
        const pieces = Buffer.concat(group.flatMap(({ head, record }) => [head, record]));
        for (let from = 0; from < pieces.length; ) {
          const { bytesWritten } = await this.#handle.write(pieces, from, undefined, at);
          from += bytesWritten;
          at += bytesWritten;
        }
        await this.#handle.datasync();
        this.#isUnclean = false;
      });
    } catch (error) {
      for (const { reject } of group) reject(error);
      return;
    }
    for (const { head, record, resolve } of group) {
      const offset = this.bytes;
      this.bytes += head.length + record.length;
      resolve(offset);
    }
  }

  read(offset: number): Promise<Buffer> {
    return guard(`read ${this.#name}`, async () => {
      const head = await readAt(this.#handle, offset, headBytes);
      const length = head.length === headBytes ? head.readUInt32LE(0) : 0;
      if (head.length === headBytes && offset + headBytes + length <= this.bytes) {
        const record = await readAt(this.#handle, offset + headBytes, length);
        if (record.length === length && crcOf(head, record) === head.readUInt32LE(4)) return record;
      }
      const message = `store: the record at ${offset} of ${this.#name} fails its checksum`;
      throw new LogitcaskError('log-damaged', message);
    });
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#handle.close();
  }
}
