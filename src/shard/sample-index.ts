/**
 * All sample ids of a snapshot, sorted, with their ordinals: written in bounded passes, read by
 * bisection.
 */
import { createHash, type Hash } from 'node:crypto';
import type { Manifest } from '../../schemas/manifest.ts';
import type { Store } from '../store/store.ts';
import { decodeIndex, rowRecordBytes } from './index-file.ts';
import { filePath, sampleIndexName } from './names.ts';
import { sampleIdBytes } from './sample-id.ts';

const recordBytes = 24;
const pieceBytes = 65_536 * recordBytes;
const passRecordsDefault = 1_000_000;

export interface SampleIndexTarget {
  readonly dataset: string;
  readonly build: string;
  /** Names of the shards' indexes, in order. */
  readonly indexes: readonly string[];
  readonly samples: number;
  /** Records that are sorted in memory at a time. */
  readonly passRecordsMax?: number;
}

/**
 * Writes `{build}-samples.index` and returns `content_id`, the SHA-256 of the ids in order. Memory
 * is
 * bounded by passes over ranges of ids, each of which reads all row tables.
 */
export async function writeSampleIndex(store: Store, target: SampleIndexTarget): Promise<string> {
  const { samples, passRecordsMax = passRecordsDefault } = target;
  const passes = Math.max(1, Math.ceil(samples / passRecordsMax));
  const writer = await store.create(filePath(target.dataset, sampleIndexName(target.build)));
  const hash = createHash('sha256');
  try {
    for (let pass = 0; pass < passes; pass++) {
      const pieces: Buffer[] = [];
      let ordinal = 0;
      for await (const rows of rowTables(store, target)) {
        pieces.push(recordsOf(rows, { ordinal, pass, passes, hash }));
        ordinal += rows.length / rowRecordBytes;
      }
      await writer.append(sorted(Buffer.concat(pieces)));
    }
    await writer.commit();
  } catch (error) {
    await writer.abort();
    throw error;
  }
  return hash.digest('hex');
}

async function* rowTables(store: Store, { dataset, indexes }: SampleIndexTarget) {
  for (const name of indexes) {
    const path = filePath(dataset, name);
    yield decodeIndex(await store.readAll(path), path).rows;
  }
}

/** Records of a shard's samples whose ids fall into the pass; the first pass hashes all ids. */
function recordsOf(
  rows: Buffer,
  options: { ordinal: number; pass: number; passes: number; hash: Hash },
): Buffer {
  const { ordinal, pass, passes, hash } = options;
  const count = rows.length / rowRecordBytes;
  const records = Buffer.alloc(count * recordBytes);
  let at = 0;
  for (let i = 0; i < count; i++) {
    const from = i * rowRecordBytes;
    if (pass === 0) hash.update(rows.subarray(from, from + sampleIdBytes));
    if (Math.floor((rows.readUInt32BE(from) / 2 ** 32) * passes) !== pass) continue;
    rows.copy(records, at, from, from + sampleIdBytes);
    records.writeBigUInt64LE(BigInt(ordinal + i), at + sampleIdBytes);
    at += recordBytes;
  }
  return records.subarray(0, at);
}

/** Records by id; equal ids keep the order of their ordinals. */
function sorted(records: Buffer): Buffer {
  const id = (a: number, b: number) =>
    records.compare(
      records,
      b * recordBytes,
      b * recordBytes + sampleIdBytes,
      a * recordBytes,
      a * recordBytes + sampleIdBytes,
    );
  const order = Uint32Array.from({ length: records.length / recordBytes }, (_, i) => i).sort(id);
  const out = Buffer.alloc(records.length);
  order.forEach((record, i) => {
    records.copy(out, i * recordBytes, record * recordBytes, (record + 1) * recordBytes);
  });
  return out;
}

/**
 * Flags of those of many sample ids, sorted, that a snapshot has: the index is read once, in order.
 */
export async function knownSamples(
  store: Store,
  { dataset, manifest, sampleIds }: { dataset: string; manifest: Manifest; sampleIds: Buffer },
): Promise<Uint8Array> {
  const count = sampleIds.length / sampleIdBytes;
  const known = new Uint8Array(count);
  const file = indexOf(manifest);
  if (file === undefined) return known;
  const path = filePath(dataset, file.name);
  let i = 0;
  for (let at = 0; at < file.bytes && i < count; at += pieceBytes) {
    const piece = await store.read(path, at, Math.min(pieceBytes, file.bytes - at));
    for (let record = 0; record < piece.length && i < count; ) {
      const [own, end] = [i * sampleIdBytes, record + sampleIdBytes];
      const order = piece.compare(sampleIds, own, own + sampleIdBytes, record, end);
      if (order === 0) known[i] = 1;
      if (order >= 0) i++;
      else record += recordBytes;
    }
  }
  return known;
}

const indexOf = ({ files }: Manifest) =>
  files.find(({ role, name }) => role === 'index' && name.endsWith('-samples.index'));

/** Sample ids of a snapshot in ascending order, in pieces of the index; equal ones follow. */
async function* sortedIds(store: Store, manifest: Manifest): AsyncGenerator<Buffer> {
  const file = indexOf(manifest);
  if (file === undefined) return;
  const path = filePath(manifest.dataset, file.name);
  for (let at = 0; at < file.bytes; at += pieceBytes) {
    const piece = await store.read(path, at, Math.min(pieceBytes, file.bytes - at));
    for (let from = 0; from < piece.length; from += recordBytes) {
      yield piece.subarray(from, from + sampleIdBytes);
    }
  }
}

/**
 * Counts the samples of one snapshot that the other has too, and those that only one has; both
 * indexes are read once, in order.
 */
export async function overlapOf(
  store: Store,
  before: Manifest,
  after: Manifest,
): Promise<{ both: number; before_only: number; after_only: number }> {
  const counts = { both: 0, before_only: 0, after_only: 0 };
  const others = sortedIds(store, after);
  let other = await others.next();
  let last: Buffer | undefined; // of `after`, that `before` has
  const skip = async () => {
    const isKnown = last !== undefined && !other.done && last.equals(other.value);
    if (!isKnown) counts.after_only++;
    other = await others.next();
  };
  for await (const id of sortedIds(store, before)) {
    while (!other.done && other.value.compare(id) < 0) await skip();
    const isThere = other.done ? last?.equals(id) : other.value.equals(id) || last?.equals(id);
    counts[isThere ? 'both' : 'before_only']++;
    if (isThere) last = id;
  }
  while (!other.done) await skip();
  return counts;
}

/** First ordinal of a sample id, or undefined. */
export async function findSample(
  store: Store,
  options: { dataset: string; manifest: Manifest; sampleId: Uint8Array },
): Promise<number | undefined> {
  const { dataset, manifest, sampleId } = options;
  const file = indexOf(manifest);
  if (file === undefined) return undefined;
  const path = filePath(dataset, file.name);
  const wanted = Buffer.from(sampleId);
  let low = 0;
  let high = file.bytes / recordBytes;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const id = await store.read(path, middle * recordBytes, sampleIdBytes);
    if (id.compare(wanted) < 0) low = middle + 1;
    else high = middle;
  }
  if (low * recordBytes >= file.bytes) return undefined;
  const record = await store.read(path, low * recordBytes, recordBytes);
  if (record.compare(wanted, 0, sampleIdBytes, 0, sampleIdBytes) !== 0) return undefined;
  return Number(record.readBigUInt64LE(sampleIdBytes));
}
