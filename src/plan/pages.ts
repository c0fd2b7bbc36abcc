/**
 * Files that a plan reads at random: pages with checksums, a directory of them that is kept in
 * memory, and a digest of the whole. docs/plan.md gives the bytes.
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { LogitcaskError } from '../errors.ts';
import type { OrderStore, OrderWriter } from './order-store.ts';

const magic = 0x5050434c; // LCPP
const recordBytes = 20;
const trailerBytes = 72;

export interface PageWriter {
  /** Writes a page; `items` is how many items it holds. */
  append(page: Uint8Array, items: number): Promise<void>;
  /** Writes directory and trailer, `sum` in it; returns the SHA-256 of all before it. */
  commit(sum: number): Promise<string>;
  abort(): Promise<void>;
}

/** The end of a file: 4 × u32 and 3 × u64, then the digest. */
export interface Trailer {
  readonly items: number;
  /** What the writer summed up. */
  readonly sum: number;
  readonly sha256: string;
}

export interface PageReader {
  readonly items: number;
  readonly sha256: string;
  /** The page that holds item `item`, and the item's number inside it. */
  find(item: number): Promise<{ page: Buffer; inside: number; number: number }>;
}

export async function writePages(store: OrderStore, name: string): Promise<PageWriter> {
  const writer: OrderWriter = await store.create(name);
  const hash = createHash('sha256');
  const directory: Buffer[] = [];
  let offset = 0;
  let total = 0;
  const append = async (bytes: Uint8Array) => {
    hash.update(bytes);
    offset += bytes.byteLength;
    await writer.append(bytes);
  };
  return {
    async append(page, items) {
      const record = Buffer.alloc(recordBytes);
      record.writeBigUInt64LE(BigInt(offset), 0);
      record.writeBigUInt64LE(BigInt(total), 8);
      record.writeUInt32LE(crc32(page), 16);
      directory.push(record);
      total += items;
      await append(page);
    },
    async commit(sum) {
      const records = Buffer.concat(directory);
      const at = offset;
      await append(records);
      const trailer = Buffer.alloc(trailerBytes - 32);
      trailer.writeUInt32LE(magic, 0);
      trailer.writeUInt32LE(1, 4);
      trailer.writeUInt32LE(directory.length, 8);
      trailer.writeUInt32LE(crc32(records), 12);
      trailer.writeBigUInt64LE(BigInt(at), 16);
      trailer.writeBigUInt64LE(BigInt(total), 24);
      trailer.writeBigUInt64LE(BigInt(sum), 32);
      await append(trailer);
      const digest = hash.digest();
      await writer.append(digest);
      await writer.commit();
      return digest.toString('hex');
    },
    abort: () => writer.abort(),
  };
}

interface Directory {
  readonly pages: number;
  readonly at: number;
  readonly crc: number;
}

/** The end of a file, undefined where there is none. Throws `index-damaged`. */
export async function readTrailer(
  store: OrderStore,
  name: string,
): Promise<(Trailer & { directory: Directory }) | undefined> {
  const bytes = await store.size(name);
  if (bytes === undefined) return undefined;
  if (bytes < trailerBytes) throw damaged(name, `at least ${trailerBytes} bytes`, bytes);
  const trailer = await store.read(name, bytes - trailerBytes, trailerBytes);
  const directory = {
    pages: trailer.readUInt32LE(8),
    at: Number(trailer.readBigUInt64LE(16)),
    crc: trailer.readUInt32LE(12),
  };
  const end = directory.at + directory.pages * recordBytes + trailerBytes;
  if (trailer.readUInt32LE(0) !== magic || trailer.readUInt32LE(4) !== 1 || end !== bytes) {
    throw damaged(name, 'a trailer of version 1', trailer.toString('hex', 0, 24));
  }
  return {
    items: Number(trailer.readBigUInt64LE(24)),
    sum: Number(trailer.readBigUInt64LE(32)),
    sha256: trailer.toString('hex', 40),
    directory,
  };
}

/** Opens a file whose digest the plan names. Throws `index-damaged`. */
export async function openPages(
  store: OrderStore,
  name: string,
  sha256: string,
): Promise<PageReader> {
  const trailer = await readTrailer(store, name);
  if (trailer?.sha256 !== sha256) throw damaged(name, sha256, trailer?.sha256 ?? 'no file');
  const { items } = trailer;
  const { pages, at: directoryAt, crc } = trailer.directory;
  const directory = await store.read(name, directoryAt, pages * recordBytes);
  if (crc32(directory) !== crc) throw damaged(name, 'its directory', 'another');
  const offsetOf = (page: number) =>
    page < pages ? Number(directory.readBigUInt64LE(page * recordBytes)) : directoryAt;
  const firstOf = (page: number) => Number(directory.readBigUInt64LE(page * recordBytes + 8));
  let last: { number: number; page: Promise<Buffer> } | undefined;
  const read = async (number: number) => {
    const at = offsetOf(number);
    const page = await store.read(name, at, offsetOf(number + 1) - at);
    const stored = directory.readUInt32LE(number * recordBytes + 16);
    if (crc32(page) !== stored) throw damaged(`${name}, page ${number}`, stored, crc32(page));
    return page;
  };
  return {
    items,
    sha256,
    async find(item) {
      if (!(item >= 0 && item < items)) throw damaged(name, `items below ${items}`, item);
      let low = 0;
      let high = pages - 1;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (firstOf(middle) <= item) low = middle;
        else high = middle - 1;
      }
      if (last?.number !== low) last = { number: low, page: read(low) };
      return { page: await last.page, inside: item - firstOf(low), number: low };
    },
  };
}

export function damaged(name: string, expected: unknown, got: unknown): LogitcaskError {
  const message = `plan: ${name} is not the file that the plan was made with; make the plan again`;
  return new LogitcaskError('index-damaged', message, { expected, got });
}
