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
  decodeBatches,
  decodeIndex,
  decodeIndexHeader,
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

/** A shard, not yet opened: there may be tens of thousands. */
interface Place {
  readonly file: ManifestFile;
  /** Ordinal of its first sample. */
  readonly first: number;
}

interface Shard extends ShardFile, Place {
  readonly indexPath: string;
}

interface ShardRun extends Run {
  readonly shard: Shard;
}

interface Context {
  readonly store: Store;
  readonly dataset: string;
  readonly places: readonly Place[];
  readonly columns: Readonly<Record<string, ColumnType>>;
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
  const cache = createLru<Promise<unknown>>(cacheBytesMax);
  let first = 0;
  const places: Place[] = [];
  for (const file of manifest.files) {
    if (file.role !== 'shard') continue;
    places.push({ file, first });
    first += file.samples;
  }
  const context: Context = { store, dataset, places, columns, cache };
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
    cached<T>(key: string, bytes: number | ((value: T) => number), load: () => Promise<T>) {
      const known = cache.get(key) as Promise<T> | undefined;
      if (known !== undefined) return known;
      const loading = load();
      cache.set(key, loading, typeof bytes === 'number' ? bytes : 0);
      const settle = (value: T) => {
        if (typeof bytes !== 'number') cache.set(key, loading, bytes(value));
      };
      loading.then(settle, () => cache.delete(key));
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

function openPlace({ store, ...options }: Context, { file, first }: Place): Shard {
  const indexPath = filePath(options.dataset, indexNameOf(file.name));
  return { ...openShard(store, { ...options, file }), indexPath, first };
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

/** Read first of an index: enough for the header and the batches of most shards. */
const firstBytes = 16 * 1024;

/**
 * The batch records alone: reading the records of all samples would take most of the time to a cold
 * server's first batch. They are proved by each other and by the shard; the whole file by its
 * digest, in the background.
 */
async function batchesOf({ store }: Context, shard: Shard): Promise<readonly BatchRecord[]> {
  const { file, indexPath } = shard;
  return shard.cached(indexPath, costOf, async () => {
    const size = await store.size(indexPath);
    if (size === undefined) throw indexDamaged(indexPath, 'an index', 'none');
    const first = await store.read(indexPath, 0, Math.min(size, firstBytes));
    const header = decodeIndexHeader(first, size, indexPath);
    if (header.samples !== file.samples) {
      throw indexDamaged(indexPath, `${file.samples} samples`, header.samples);
    }
    const bytes = header.batches * batchRecordBytes;
    const whole = indexHeaderBytes + bytes <= first.length;
    const records = whole
      ? first.subarray(indexHeaderBytes, indexHeaderBytes + bytes)
      : await store.read(indexPath, indexHeaderBytes, bytes);
    return decodeBatches(records, header, indexPath);
  });
}

const costOf = (batches: readonly BatchRecord[]) => 256 + 128 * batches.length;

/** Neighbouring ordinals of one batch become one run, read at once. */
async function runsOf(
  context: Context,
  ordinals: readonly number[],
  samples: number,
): Promise<ShardRun[]> {
  const runs: ShardRun[] = [];
  for (const ordinal of ordinals) {
    if (!(ordinal >= 0 && ordinal < samples)) throw noSample(ordinal, samples);
    const shard = openPlace(
      context,
      findBefore(context.places, ordinal, ({ first }) => first),
    );
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
  const last = context.places.at(-1);
  const samples = last === undefined ? 0 : last.first + last.file.samples;
  if (!(from >= 0 && from <= to)) throw noSample(from, samples);
  if (to > samples) throw noSample(to - 1, samples);
  const ids = new Uint8Array((to - from) * sampleIdBytes);
  for (const place of context.places) {
    const first = Math.max(from, place.first);
    const last = Math.min(to, place.first + place.file.samples);
    if (first >= last) continue;
    const shard = openPlace(context, place);
    const rows = await provenRows(context, shard);
    for (let i = 0; i < last - first; i++) {
      const at = (first - shard.first + i) * rowRecordBytes;
      const id = rows.subarray(at, at + sampleIdBytes);
      ids.set(id, (first - from + i) * sampleIdBytes);
    }
  }
  return ids;
}

/** Records of a shard's samples; the index is read whole, for its checksum. */
async function provenRows({ store }: Context, { file, indexPath }: Shard): Promise<Buffer> {
  const { header, rows } = decodeIndex(await store.readAll(indexPath), indexPath);
  if (header.samples === file.samples) return rows;
  throw indexDamaged(indexPath, `${file.samples} samples`, header.samples);
}
