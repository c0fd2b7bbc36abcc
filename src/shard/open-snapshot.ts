/**
 * The reader of a snapshot: rows by ordinal with positional reads, directories of batches cached.
 */
import type { Manifest, ManifestFile } from '../../schemas/manifest.ts';
import { LogitcaskError } from '../errors.ts';
import { type BatchPositions, batchPositions } from '../formats/arrow-positions.ts';
import {
  type Column,
  type ColumnType,
  concatColumns,
  int32Of,
  readRows,
} from '../formats/layout.ts';
import { createLru, type Lru } from '../store/lru.ts';
import type { Store } from '../store/store.ts';
import { shardColumns } from './columns.ts';
import {
  type BatchRecord,
  batchRecordBytes,
  decodeIndex,
  indexDamaged,
  indexHeaderBytes,
  rowRecordBytes,
} from './index-file.ts';
import { filePath } from './names.ts';
import type { SnapshotReader } from './reader.ts';
import { sampleIdBytes } from './sample-id.ts';
import { findSample } from './sample-index.ts';
import { resolveSnapshot } from './snapshot.ts';

const cacheBytesDefault = 32 * 1024 * 1024;

export interface OpenSnapshotOptions {
  readonly dataset: string;
  /** Digest or tag. */
  readonly snapshot: string;
  /** Bytes of batch directories that are kept in memory. */
  readonly cacheBytesMax?: number;
}

export interface ReaderOptions {
  readonly id: string;
  readonly manifest: Manifest;
  readonly cacheBytesMax?: number;
}

/** Rows [row, row + rows) of one record batch. */
interface Run {
  readonly shard: Shard;
  readonly batch: BatchRecord;
  readonly row: number;
  readonly rows: number;
}

interface Shard {
  readonly file: ManifestFile;
  readonly path: string;
  readonly indexPath: string;
  /** Ordinal of its first sample. */
  readonly first: number;
}

interface Context {
  readonly store: Store;
  readonly shards: readonly Shard[];
  readonly columns: Readonly<Record<string, ColumnType>>;
  /** Batch tables, batch positions and offsets of rows, by name. */
  readonly cache: Lru<Promise<unknown>>;
}

export async function openSnapshot(
  store: Store,
  { dataset, snapshot, cacheBytesMax }: OpenSnapshotOptions,
): Promise<SnapshotReader> {
  const { id, manifest } = await resolveSnapshot(store, dataset, snapshot);
  return createReader(store, { id, manifest, cacheBytesMax });
}

/** A reader over a manifest at hand. */
export function createReader(
  store: Store,
  { id, manifest, cacheBytesMax = cacheBytesDefault }: ReaderOptions,
): SnapshotReader {
  const { dataset } = manifest;
  const columns = shardColumns(manifest);
  let first = 0;
  const shards = manifest.files
    .filter(({ role }) => role === 'shard')
    .map((file) => {
      const path = filePath(dataset, file.name);
      const shard = { file, path, indexPath: path.replace(/\.arrow$/, '.index'), first };
      first += file.samples;
      return shard;
    });
  const context: Context = { store, shards, columns, cache: createLru(cacheBytesMax) };
  return {
    id,
    manifest,
    columns,
    async read(ordinals, names) {
      const runs = await runsOf(context, ordinals, manifest.totals.samples);
      const read = async (name: string): Promise<[string, Column]> => {
        const parts = await Promise.all(runs.map((run) => readRun(context, run, name)));
        return [name, parts.length === 1 ? parts[0] : concatColumns(columns[name], parts)];
      };
      return Object.fromEntries(await Promise.all(names.map(read)));
    },
    sampleIds: (from, to) => readSampleIds(context, from, to),
    find: (sampleId) => findSample(store, { dataset, manifest, sampleId }),
    close: async () => context.cache.clear(),
  };
}

/** Caches what a key loads; a failed load is not kept. */
function cached<T>(
  { cache }: Context,
  { key, bytes }: { key: string; bytes: number },
  load: () => Promise<T>,
): Promise<T> {
  const known = cache.get(key) as Promise<T> | undefined;
  if (known !== undefined) return known;
  const loading = load();
  cache.set(key, loading, bytes);
  loading.catch(() => cache.delete(key));
  return loading;
}

function shardOf(shards: readonly Shard[], ordinal: number): Shard {
  let low = 0;
  let high = shards.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (shards[middle].first <= ordinal) low = middle;
    else high = middle - 1;
  }
  return shards[low];
}

/**
 * Reads the index whole, once, so that its checksum covers every position that is taken from it.
 */
async function batchesOf(context: Context, shard: Shard): Promise<BatchRecord[]> {
  const { file, indexPath } = shard;
  return cached(context, { key: indexPath, bytes: 4096 }, async () => {
    const size = await context.store.size(indexPath);
    if (size === undefined) throw indexDamaged(indexPath, 'an index', 'none');
    const { header, batches } = decodeIndex(await context.store.readAll(indexPath), indexPath);
    if (header.samples === file.samples) return batches;
    throw indexDamaged(indexPath, `${file.samples} samples`, header.samples);
  });
}

/** Neighbouring ordinals of one batch become one run, read at once. */
async function runsOf(
  context: Context,
  ordinals: readonly number[],
  samples: number,
): Promise<Run[]> {
  const runs: Run[] = [];
  for (const ordinal of ordinals) {
    if (!(ordinal >= 0 && ordinal < samples)) throw noSample(ordinal, samples);
    const shard = shardOf(context.shards, ordinal);
    const row = ordinal - shard.first;
    const batches = await batchesOf(context, shard);
    const batch = batches.find((b) => row >= b.firstRow && row < b.firstRow + b.rows);
    if (batch === undefined) throw shardDamaged(shard.file.name, `row ${row}`, 'no batch with it');
    const last = runs.at(-1);
    const inBatch = row - batch.firstRow;
    if (last?.batch === batch && last.row + last.rows === inBatch) {
      runs[runs.length - 1] = { ...last, rows: last.rows + 1 };
    } else {
      runs.push({ shard, batch, row: inBatch, rows: 1 });
    }
  }
  return runs;
}

function noSample(got: number, samples: number): LogitcaskError {
  const message = `snapshot: there is no sample ${got}`;
  return new LogitcaskError('sample-not-found', message, { expected: `0 … ${samples - 1}`, got });
}

function positionsOf(context: Context, { shard, batch }: Run): Promise<BatchPositions> {
  const key = `${shard.path}@${batch.offset}`;
  return cached(context, { key, bytes: 2 * batch.metadataBytes }, async () => {
    const bytes = await readShard(context, shard, batch.offset, batch.metadataBytes);
    try {
      const positions = batchPositions(bytes, batch.offset, context.columns);
      if (positions.rows === batch.rows) return positions;
      throw new Error(`${positions.rows} rows`);
    } catch (error) {
      const got = (error as Error).message;
      throw shardDamaged(shard.file.name, `${batch.rows} rows of our columns`, got);
    }
  });
}

async function readRun(context: Context, run: Run, name: string): Promise<Column> {
  const { shard, batch } = run;
  const type = context.columns[name];
  const positions = (await positionsOf(context, run)).columns[name];
  const hasOffsets = type.type === 'list' || type.type === 'utf8' || type.type === 'binary';
  const fetch = async (buffer: number, offset: number, length: number) => {
    const { offset: at, bytes } = positions[buffer];
    if (!(offset >= 0 && length >= 0 && offset + length <= bytes)) {
      throw shardDamaged(shard.file.name, `${bytes} bytes in \`${name}\``, offset + length);
    }
    if (!hasOffsets || buffer !== 0) return readShard(context, shard, at + offset, length);
    const key = `${shard.path}@${at}`;
    const whole = await cached(context, { key, bytes }, async () => {
      const offsets = await readShard(context, shard, at, bytes);
      if (ascends(int32Of(offsets).subarray(0, batch.rows + 1))) return offsets;
      throw shardDamaged(shard.file.name, `ascending offsets in \`${name}\``, 'others');
    });
    return whole.subarray(offset, offset + length);
  };
  return readRows(type, { from: run.row, to: run.row + run.rows }, fetch);
}

function ascends(offsets: Int32Array): boolean {
  return offsets[0] === 0 && offsets.every((offset, i) => i === 0 || offset >= offsets[i - 1]);
}

async function readShard(
  { store }: Context,
  { path, file }: Shard,
  ...[offset, length]: [number, number]
): Promise<Buffer> {
  try {
    return await store.read(path, offset, length);
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

async function readSampleIds(context: Context, from: number, to: number): Promise<Uint8Array> {
  const last = context.shards.at(-1);
  const samples = last === undefined ? 0 : last.first + last.file.samples;
  if (!(from >= 0 && from <= to)) throw noSample(from, samples);
  if (to > samples) throw noSample(to - 1, samples);
  const ids = new Uint8Array((to - from) * sampleIdBytes);
  for (const shard of context.shards) {
    const first = Math.max(from, shard.first);
    const last = Math.min(to, shard.first + shard.file.samples);
    if (first >= last) continue;
    const batches = await batchesOf(context, shard);
    const rowsAt = indexHeaderBytes + batches.length * batchRecordBytes;
    const at = rowsAt + (first - shard.first) * rowRecordBytes;
    const rows = await context.store.read(shard.indexPath, at, (last - first) * rowRecordBytes);
    for (let i = 0; i < last - first; i++) {
      const id = rows.subarray(i * rowRecordBytes, i * rowRecordBytes + sampleIdBytes);
      ids.set(id, (first - from + i) * sampleIdBytes);
    }
  }
  return ids;
}
