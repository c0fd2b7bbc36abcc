/**
 * The reader of a snapshot: rows by ordinal with positional reads, directories of batches cached.
 */
import type { Manifest, ManifestFile } from '../../schemas/manifest.ts';
import { LogitcaskError } from '../errors.ts';
import { type Column, type ColumnType, concatRows } from '../formats/layout.ts';
import { createLru, type Lru } from '../store/lru.ts';
import type { Store } from '../store/store.ts';
import { shardColumns } from './columns.ts';
import { containerOf } from './containers.ts';
import {
  type BatchRecord,
  batchRecordBytes,
  decodeIndex,
  indexDamaged,
  indexHeaderBytes,
  rowRecordBytes,
} from './index-file.ts';
import { filePath, indexNameOf } from './names.ts';
import type { SnapshotReader } from './reader.ts';
import { sampleIdBytes } from './sample-id.ts';
import { findSample } from './sample-index.ts';
import { type Run, readShard, type ShardFile, shardDamaged } from './shard-file.ts';
import { resolveSnapshot } from './snapshot.ts';

const cacheBytesDefault = 32 * 1024 * 1024;

export interface OpenSnapshotOptions {
  readonly dataset: string;
  /** Digest or tag. */
  readonly snapshot: string;
  /** Bytes of batch directories and row groups that are kept in memory. */
  readonly cacheBytesMax?: number;
}

export interface ReaderOptions {
  readonly id: string;
  readonly manifest: Manifest;
  readonly cacheBytesMax?: number;
}

interface Shard extends ShardFile {
  readonly indexPath: string;
  /** About what its batch records take in memory. */
  readonly indexCost: number;
  /** Ordinal of its first sample. */
  readonly first: number;
}

interface ShardRun extends Run {
  readonly shard: Shard;
}

interface Context {
  readonly store: Store;
  readonly shards: readonly Shard[];
  readonly columns: Readonly<Record<string, ColumnType>>;
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
  const cache = createLru<Promise<unknown>>(cacheBytesMax);
  const indexBytes = new Map(manifest.files.map(({ name, bytes }) => [name, bytes]));
  let first = 0;
  const shards = manifest.files
    .filter(({ role }) => role === 'shard')
    .map((file): Shard => {
      const shard = openShard(store, { dataset, file, columns, cache });
      const indexName = indexNameOf(file.name);
      const indexCost = 5 * ((indexBytes.get(indexName) ?? 0) - file.samples * rowRecordBytes);
      first += file.samples;
      const indexPath = filePath(dataset, indexName);
      return { ...shard, indexPath, indexCost, first: first - file.samples };
    });
  const context: Context = { store, shards, columns };
  const readParts: SnapshotReader['parts'] = async (ordinals, names) =>
    readRuns(await runsOf(context, ordinals, manifest.totals.samples), names);
  return {
    id,
    manifest,
    columns,
    parts: readParts,
    async read(ordinals, names) {
      const parts = await readParts(ordinals, names);
      if (parts.length === 1) return parts[0];
      const own = Object.fromEntries(names.map((name) => [name, columns[name]]));
      return concatRows(own, parts);
    },
    sampleIds: (from, to) => readSampleIds(context, from, to),
    find: (sampleId) => findSample(store, { dataset, manifest, sampleId }),
    close: async () => cache.clear(),
  };
}

export function openShard(
  store: Store,
  options: {
    dataset: string;
    file: ManifestFile;
    columns: ShardFile['columns'];
    cache: Lru<Promise<unknown>>;
  },
): ShardFile {
  const { dataset, file, columns, cache } = options;
  const path = filePath(dataset, file.name);
  return {
    file,
    path,
    columns,
    read: (offset, length) => readShard(store, { path, file }, offset, length),
    cached<T>(key: string, bytes: number, load: () => Promise<T>) {
      const known = cache.get(key) as Promise<T> | undefined;
      if (known !== undefined) return known;
      const loading = load();
      cache.set(key, loading, bytes);
      loading.catch(() => cache.delete(key));
      return loading;
    },
  };
}

/** As many runs at a time as their container allows. */
async function readRuns(
  runs: readonly ShardRun[],
  names: readonly string[],
): Promise<Record<string, Column>[]> {
  const parts: Record<string, Column>[] = [];
  while (parts.length < runs.length) {
    const { runsAtOnce } = containerOf(runs[parts.length].shard.file.name);
    const next = runs.slice(parts.length, parts.length + runsAtOnce);
    const read = ({ shard, ...run }: ShardRun) =>
      containerOf(shard.file.name).readRun(shard, run, names);
    parts.push(...(await Promise.all(next.map(read))));
  }
  return parts;
}

/** The last item that begins at or before `at`. */
function findBefore<T>(items: readonly T[], at: number, first: (item: T) => number): T {
  let low = 0;
  let high = items.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (first(items[middle]) <= at) low = middle;
    else high = middle - 1;
  }
  return items[low];
}

/**
 * Reads the index whole, once, so that its checksum covers every position that is taken from it.
 */
async function batchesOf(context: Context, shard: Shard): Promise<BatchRecord[]> {
  const { file, indexPath, indexCost } = shard;
  return shard.cached(indexPath, indexCost, async () => {
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
): Promise<ShardRun[]> {
  const runs: ShardRun[] = [];
  for (const ordinal of ordinals) {
    if (!(ordinal >= 0 && ordinal < samples)) throw noSample(ordinal, samples);
    const shard = findBefore(context.shards, ordinal, ({ first }) => first);
    const row = ordinal - shard.first;
    const batches = await batchesOf(context, shard);
    const batch = findBefore(batches, row, ({ firstRow }) => firstRow);
    if (!(row >= batch?.firstRow && row < batch.firstRow + batch.rows)) {
      throw shardDamaged(shard.file.name, `row ${row}`, 'no batch with it');
    }
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
