/** All sample ids of a snapshot, sorted, with their ordinals: written in bounded passes, read by bisection. */
import { createHash } from 'node:crypto';
import type { Manifest } from '../../schemas/manifest.ts';
import type { Store } from '../store/store.ts';
import { decodeIndex } from './index-file.ts';
import { filePath, sampleIndexName } from './names.ts';
import { sampleIdBytes } from './sample-id.ts';

const recordBytes = 24;
/** Ids that are sorted in memory at a time. */
const passRecordsMax = 1_000_000;

export interface SampleIndexTarget {
  readonly dataset: string;
  readonly build: string;
  /** Names of the shards' indexes, in order. */
  readonly indexes: readonly string[];
  readonly samples: number;
}

/**
 * Writes `{build}-samples.index` and returns `content_id`, the SHA-256 of the ids in order. Memory is
 * bounded by passes over ranges of ids, each of which reads all row tables.
 */
export async function writeSampleIndex(store: Store, target: SampleIndexTarget): Promise<string> {
  const passes = Math.max(1, Math.ceil(target.samples / passRecordsMax));
  const writer = await store.create(filePath(target.dataset, sampleIndexName(target.build)));
  const hash = createHash('sha256');
  try {
    for (let pass = 0; pass < passes; pass++) {
      const records: Buffer[] = [];
      for await (const { sampleId, ordinal } of sampleIds(store, target)) {
        if (pass === 0) hash.update(sampleId);
        if (Math.floor((sampleId.readUInt32BE(0) / 2 ** 32) * passes) !== pass) continue;
        const record = Buffer.alloc(recordBytes);
        record.set(sampleId);
        record.writeBigUInt64LE(BigInt(ordinal), sampleIdBytes);
        records.push(record);
      }
      // stable: equal ids keep the order of their ordinals
      const byId = (a: Buffer, b: Buffer) => a.compare(b, 0, sampleIdBytes, 0, sampleIdBytes);
      await writer.append(Buffer.concat(records.sort(byId)));
    }
    await writer.commit();
  } catch (error) {
    await writer.abort();
    throw error;
  }
  return hash.digest('hex');
}

async function* sampleIds(store: Store, { dataset, indexes }: SampleIndexTarget) {
  let ordinal = 0;
  for (const name of indexes) {
    const path = filePath(dataset, name);
    for (const row of decodeIndex(await store.readAll(path), path).rows) {
      yield { sampleId: Buffer.from(row.sampleId), ordinal: ordinal++ };
    }
  }
}

/** First ordinal of a sample id, or undefined. */
export async function findSample(
  store: Store,
  options: { dataset: string; manifest: Manifest; sampleId: Uint8Array },
): Promise<number | undefined> {
  const { dataset, manifest, sampleId } = options;
  const file = manifest.files.find((f) => f.role === 'index' && f.name.endsWith('-samples.index'));
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
