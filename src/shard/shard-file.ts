/** One shard as its readers see it: bytes by position, its batches, and what is kept in memory. */
import type { ManifestFile } from '../../schemas/manifest.ts';
import { LogitcaskError } from '../errors.ts';
import type { ColumnTypes } from '../formats/arrow.ts';
import type { FileWriter } from '../formats/file-writer.ts';
import type { Column } from '../formats/layout.ts';
import type { Store } from '../store/store.ts';
import type { BatchRecord } from './index-file.ts';

export interface ShardFile {
  readonly file: ManifestFile;
  readonly path: string;
  readonly columns: ColumnTypes;
  /** Bytes [offset, offset + length). Throws `shard-damaged` where they are not there. */
  read(offset: number, length: number): Promise<Buffer>;
  /** What a key loads, kept under the reader's limit; a failed load is not kept. */
  cached<T>(
    key: string,
    bytes: number | ((value: T) => number),
    load: () => Promise<T>,
  ): Promise<T>;
}

/** Rows [row, row + rows) of one batch. */
export interface Run {
  readonly batch: BatchRecord;
  readonly row: number;
  readonly rows: number;
}

/** A kind of shard file. One container a file. */
export interface Container {
  writer(types: ColumnTypes, metadata: Readonly<Record<string, string>>): FileWriter;
  /** Whether files are much smaller than their columns. */
  readonly compressed: boolean;
  /** Batches of a file, so that its directory stays small. */
  readonly batchesMax: number;
  /** Runs that may be read at a time: a row group is decoded whole. */
  readonly runsAtOnce: number;
  /** Throws `shard-damaged`. */
  readRun(shard: ShardFile, run: Run, names: readonly string[]): Promise<Record<string, Column>>;
  /** Stored bytes of each column in one batch. */
  columnBytes(shard: ShardFile, batch: BatchRecord): Promise<Readonly<Record<string, number>>>;
}

type Stored = Pick<ShardFile, 'path' | 'file'>;

/** Bytes of a stored shard; what is missing or cut short is `shard-damaged`. */
export function readShard(
  store: Store,
  { path, file }: Stored,
  ...[offset, length]: [number, number]
): Promise<Buffer> {
  return damagedWhereShort(file, () => store.read(path, offset, length));
}

/** The same into memory at hand. */
export function readShardInto(
  store: Store,
  { path, file }: Stored,
  ...[offset, bytes]: [number, Buffer]
): Promise<void> {
  return damagedWhereShort(file, () => store.readInto(path, offset, bytes));
}

async function damagedWhereShort<T>(file: ManifestFile, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    const { code, got } = error as LogitcaskError;
    if (code !== 'store-not-found' && code !== 'store-truncated') throw error;
    throw shardDamaged(file.name, `${file.bytes} bytes`, got ?? 'no such file');
  }
}

export function shardDamaged(file: string, expected: unknown, got: unknown): LogitcaskError {
  const message = `shard: ${file} is damaged; restore it from a copy, or build the data set again`;
  return new LogitcaskError('shard-damaged', message, { expected, got });
}
