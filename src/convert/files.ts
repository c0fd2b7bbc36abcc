/** The files of a converted snapshot: shards and indexes anew, everything else byte for byte. */
import type { ContainerName } from '../../schemas/common.ts';
import type { Manifest, ManifestFile } from '../../schemas/manifest.ts';
import { digestFile } from '../audit/digests.ts';
import { LogitcaskError } from '../errors.ts';
import { shardSchema } from '../shard/columns.ts';
import { filePath, indexName, sampleIndexName, shardName } from '../shard/names.ts';
import { writeSampleIndex } from '../shard/sample-index.ts';
import { shardDamaged } from '../shard/shard-file.ts';
import { putImage, storedImage, storedImages } from '../shard/stored-images.ts';
import { openShardWriter, type ShardWriter } from '../shard/writer.ts';
import type { Store } from '../store/store.ts';
import { type CodecChoice, codecIn, convertRow, type RowSource } from './rows.ts';

const shardBytesMax = 64 * 1024 * 1024;
const batchBytesMax = 4 * 1024 * 1024;
const pieceBytes = 1024 * 1024;

export interface Conversion {
  readonly from: { readonly store: Store; readonly rows: RowSource };
  readonly to: { readonly store: Store; readonly dataset: string; readonly build: string };
  readonly choice: CodecChoice;
  /** Counts the entries of each set, as stored, where other samples than before have them. */
  readonly recount?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: { samples: number; samplesTotal: number }) => void;
}

/**
 * Writes every file but the manifest, which it returns. Where it fails it leaves nothing but whole
 * images, which the next one finds.
 */
export async function convertFiles(conversion: Conversion): Promise<Manifest> {
  const { from, to, choice } = conversion;
  const { manifest } = from.rows;
  await proveFiles(from.store, manifest);
  const sets = manifest.target_sets.map((set) => ({ ...set, codec: codecIn(set, choice) }));
  const written: ManifestFile[] = [];
  try {
    const features = featuresIn(choice.format, manifest.features);
    const target = { ...manifest, features, target_sets: sets };
    const entries = await writeShards(conversion, target, written);
    await writeIndex(conversion, written);
    for (const file of manifest.files) {
      if (file.role !== 'shard' && file.role !== 'index') {
        written.push(await copyFile(conversion, file));
      }
    }
    await copyImages(conversion);
    const bytes = written.reduce((sum, file) => sum + file.bytes, 0);
    const { totals, dataset: _, ...rest } = manifest;
    const counted = sets.map((set, i) => ({ ...set, entries: entries[i] }));
    const target_sets = conversion.recount ? counted : sets;
    const changed = { features, target_sets, files: written, totals: { ...totals, bytes } };
    return { ...rest, ...changed, dataset: to.dataset };
  } catch (error) {
    for (const { name } of written) await to.store.remove(filePath(to.dataset, name));
    throw error;
  }
}

function featuresIn(format: ContainerName, features: readonly string[]): string[] {
  const others = features.filter((feature) => feature !== 'parquet');
  return format === 'parquet' ? [...others, 'parquet'] : others;
}

/** Throws `shard-damaged`. */
export async function proveFiles(store: Store, { dataset, files }: Manifest): Promise<void> {
  for (const { name, sha256 } of files) {
    const digest = (await digestFile(store, filePath(dataset, name)))?.toString('hex');
    if (digest !== sha256) throw shardDamaged(name, sha256, digest ?? 'no such file');
  }
}

/** Returns the entries of each target set. */
async function writeShards(
  { from: { rows }, to, choice, signal, onProgress }: Conversion,
  target: Manifest,
  written: ManifestFile[],
): Promise<number[]> {
  const { store, dataset, build } = to;
  const { samples: samplesTotal } = rows.manifest.totals;
  const entries = target.target_sets.map(() => 0);
  const open = (shard: number) =>
    openShardWriter({
      store,
      shard: filePath(dataset, shardName(build, shard, choice.format)),
      index: filePath(dataset, indexName(build, shard)),
      ...shardSchema(target),
      batchBytesMax,
    });
  let writer: ShardWriter | undefined;
  let positions = 0;
  const close = async (next: number) => {
    if (writer === undefined) return;
    const { samples } = writer;
    const shard = written.length / 2;
    await writer.finish(next);
    writer = undefined;
    const held = { samples, positions };
    const name = shardName(build, shard, choice.format);
    written.push(await describe(to, { role: 'shard', name, ...held }));
    written.push(await describe(to, { role: 'index', name: indexName(build, shard), ...held }));
    positions = 0;
  };
  try {
    for (let ordinal = 0; ordinal < samplesTotal; ordinal++) {
      if (signal?.aborted) throw stopped();
      const row = await convertRow(rows, ordinal, choice);
      writer ??= await open(written.length / 2);
      await writer.add(row);
      positions += row.positions;
      for (const [i, count] of row.setEntries.entries()) entries[i] += count;
      if (writer.isFull(shardBytesMax)) await close(ordinal + 1);
      onProgress?.({ samples: ordinal + 1, samplesTotal });
    }
    await close(samplesTotal);
    return entries;
  } catch (error) {
    await writer?.abort();
    throw error;
  }
}

async function describe(
  { store, dataset }: Conversion['to'],
  file: Omit<ManifestFile, 'bytes' | 'sha256'>,
): Promise<ManifestFile> {
  const path = filePath(dataset, file.name);
  const [bytes, digest] = [await store.size(path), await digestFile(store, path)];
  if (bytes === undefined || digest === undefined) {
    throw new LogitcaskError('store-not-found', `convert: ${file.name} has gone; run it again`);
  }
  return { ...file, bytes, sha256: digest.toString('hex') };
}

/** Proves on the way that the samples are those of the source, in its order. */
async function writeIndex({ from, to }: Conversion, written: ManifestFile[]): Promise<void> {
  const { content_id: expected, totals } = from.rows.manifest;
  const { store, dataset, build } = to;
  const indexes = written.filter(({ role }) => role === 'index').map(({ name }) => name);
  const target = { dataset, build, indexes, samples: totals.samples };
  const got = await writeSampleIndex(store, target);
  const none = { samples: 0, positions: 0 };
  written.push(await describe(to, { role: 'index', name: sampleIndexName(build), ...none }));
  if (got === expected) return;
  const message = 'convert: the samples are not those that the manifest names; take a good copy';
  throw new LogitcaskError('manifest-invalid', message, { expected, got });
}

/** Throws `image-damaged`. */
async function copyImages({ from, to, signal }: Conversion): Promise<void> {
  const { manifest } = from.rows;
  for await (const { sha256 } of storedImages(from.store, manifest)) {
    if (signal?.aborted) throw stopped();
    const place = { dataset: manifest.dataset, sha256 };
    await putImage(to.store, { ...place, dataset: to.dataset }, storedImage(from.store, place));
  }
}

function stopped(): LogitcaskError {
  return new LogitcaskError('interrupted', 'convert: stopped; nothing is kept, run it again');
}

/** Under the name that it has in the target's build. */
async function copyFile({ from, to }: Conversion, file: ManifestFile): Promise<ManifestFile> {
  const name = file.name.replace(/^[0-9a-f]{16}(?=-)/, to.build);
  const path = filePath(from.rows.manifest.dataset, file.name);
  const writer = await to.store.create(filePath(to.dataset, name));
  try {
    for (let at = 0; at < file.bytes; at += pieceBytes) {
      const length = Math.min(pieceBytes, file.bytes - at);
      await writer.append(await from.store.read(path, at, length));
    }
    await writer.commit();
  } catch (error) {
    await writer.abort();
    throw error;
  }
  return { ...file, name };
}
