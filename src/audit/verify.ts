/**
 * Proves a snapshot: every digest, every index, every frame, every sample id. Reports, never
 * repairs.
 */
import type { ManifestFile } from '../../schemas/manifest.ts';
import { openCodec } from '../encode/table.ts';
import { asLogitcaskError, type ErrorCode, LogitcaskError } from '../errors.ts';
import { cellsOf, itemBytes } from '../formats/cells.ts';
import { type Column, int32Of, unpackBits } from '../formats/layout.ts';
import { decodeIndex } from '../shard/index-file.ts';
import { filePath, indexNameOf } from '../shard/names.ts';
import { createReader } from '../shard/open-snapshot.ts';
import type { SnapshotReader } from '../shard/reader.ts';
import { readReference } from '../shard/reference.ts';
import { rowSampleIds } from '../shard/row-ids.ts';
import { sampleIdBytes } from '../shard/sample-id.ts';
import { shardDamaged } from '../shard/shard-file.ts';
import { type ResolvedSnapshot, resolveSnapshot } from '../shard/snapshot.ts';
import type { Store } from '../store/store.ts';
import { digestFile, hashSampleIds } from './digests.ts';

export interface VerifyReport {
  readonly dataset: string;
  readonly snapshot: string;
  readonly files: number;
  readonly bytes: number;
  readonly samples: number;
  readonly positions: number;
  readonly problems: readonly Problem[];
}

export interface Problem {
  readonly code: ErrorCode;
  readonly file: string;
  readonly message: string;
}

export interface VerifyOptions {
  readonly dataset: string;
  /** Digest or tag. */
  readonly snapshot: string;
  readonly onProgress?: (progress: { bytes: number; bytesTotal: number }) => void;
}

/** Problems beyond this many are not listed. */
const problemsMax = 100;
const rowsAtOnce = 16;

/** Throws only where there is no such snapshot or its manifest is not to be believed. */
export async function verifySnapshot(store: Store, options: VerifyOptions): Promise<VerifyReport> {
  const resolved = await resolveSnapshot(store, options.dataset, options.snapshot);
  const { files, totals } = resolved.manifest;
  const problems: Problem[] = [];
  const attempt = async (file: string, check: () => Promise<void>) => {
    try {
      await check();
      return true;
    } catch (thrown) {
      const { code, message } = asLogitcaskError(thrown);
      if (problems.length < problemsMax) problems.push({ code, file, message });
      return false;
    }
  };
  const byName = new Map(files.map((file) => [file.name, file]));
  const proved = new Map<string, Promise<boolean>>();
  const isWhole = (name: string) => {
    const proving =
      proved.get(name) ?? attempt(name, () => checkDigest(store, resolved, byName.get(name)));
    proved.set(name, proving);
    return proving;
  };
  const reader = createReader(store, resolved);
  let bytes = 0;
  let ordinal = 0;
  for (const file of files) {
    const first = ordinal;
    if (file.role === 'shard') ordinal += file.samples;
    // a damaged file is named, and nothing that can only be read through it
    const through = file.role === 'shard' ? indexNameOf(file.name) : file.name;
    const whole = (await isWhole(file.name)) && (await isWhole(through));
    if (whole) {
      await attempt(file.name, () => checkContent(store, { resolved, file, reader, first }));
    }
    bytes += file.bytes;
    options.onProgress?.({ bytes, bytesTotal: totals.bytes });
  }
  if (problems.length === 0) {
    await attempt('manifest.json', () => checkTotals(reader));
  }
  await reader.close();
  return {
    dataset: options.dataset,
    snapshot: resolved.id,
    files: files.length,
    bytes,
    samples: totals.samples,
    positions: totals.positions,
    problems,
  };
}

async function checkDigest(
  store: Store,
  { manifest }: ResolvedSnapshot,
  file: ManifestFile | undefined,
): Promise<void> {
  if (file === undefined) throw wrongManifest('an index of every shard', 'none');
  const path = filePath(manifest.dataset, file.name);
  const size = await store.size(path);
  if (size !== file.bytes) throw shardDamaged(file.name, `${file.bytes} bytes`, size ?? 'no file');
  const digest = (await digestFile(store, path))?.toString('hex');
  if (digest !== file.sha256) throw shardDamaged(file.name, file.sha256, digest);
}

interface ContentOptions {
  readonly resolved: ResolvedSnapshot;
  readonly file: ManifestFile;
  readonly reader: SnapshotReader;
  /** Ordinal of the file's first sample. */
  readonly first: number;
}

async function checkContent(store: Store, options: ContentOptions): Promise<void> {
  const { resolved, file, reader, first } = options;
  const path = filePath(resolved.manifest.dataset, file.name);
  if (file.role === 'reference') {
    let positions = 0;
    for await (const rows of readReference(store, path)) positions += rows.length;
    if (positions !== file.positions) throw shardDamaged(file.name, file.positions, positions);
  }
  if (file.role === 'index' && file.samples > 0) {
    const { header } = decodeIndex(await store.readAll(path), path);
    const { files } = resolved.manifest;
    const shard = files.find(
      ({ role, name }) => role === 'shard' && indexNameOf(name) === file.name,
    );
    const digest = shard?.sha256;
    const own = Buffer.from(header.shardDigest).toString('hex');
    if (own !== digest) throw shardDamaged(file.name, digest, own);
  }
  if (file.role !== 'shard') return;
  for (let at = 0; at < file.samples; at += rowsAtOnce) {
    const rows = Math.min(rowsAtOnce, file.samples - at);
    await checkRows(reader, first + at, rows);
  }
}

/** Decodes every target of the rows and takes their sample ids again. */
async function checkRows(reader: SnapshotReader, first: number, rows: number): Promise<void> {
  const { manifest } = reader;
  const ordinals = Array.from({ length: rows }, (_, i) => first + i);
  const columns = await reader.read(ordinals, Object.keys(reader.columns));
  const idOf = rowSampleIds(manifest, columns);
  for (let row = 0; row < rows; row++) {
    const id = columns.sample_id.buffers[0].subarray(
      row * sampleIdBytes,
      (row + 1) * sampleIdBytes,
    );
    const mask = maskOf(columns.mask, row);
    if (!idOf(row).equals(id)) {
      throw wrongRow(first + row, 'its sample id is not that of its inputs and mask');
    }
    if (manifest.kind === 'text') {
      const tokens = int32Of(cellsOf(columns.tokens, 4)[row]);
      if (tokens.some((token) => token < 0 || token >= manifest.label_space.size)) {
        throw wrongRow(first + row, 'a token lies outside the label space');
      }
      if (mask.at(-1) !== 0) throw wrongRow(first + row, 'the mask is set at the last position');
    }
    for (const set of manifest.target_sets) {
      const codec = openCodec(set, manifest.label_space);
      const cells = Object.entries(codec.columns).map(([suffix, type]) => {
        return cellsOf(columns[`${set.name}_${suffix}`], itemBytes(type))[row];
      });
      codec.decode(cells, mask.length);
    }
  }
}

function maskOf(column: Column, row: number): Uint8Array {
  const offsets = int32Of(column.buffers[0]);
  return unpackBits(column.buffers[1], offsets[row + 1]).subarray(offsets[row]);
}

function wrongRow(ordinal: number, what: string): LogitcaskError {
  const message = `verify: sample ${ordinal}: ${what}; build the data set again`;
  return new LogitcaskError('shard-damaged', message, { got: ordinal });
}

function wrongManifest(expected: unknown, got: unknown): LogitcaskError {
  const message = 'verify: the manifest contradicts its files; build the data set again';
  return new LogitcaskError('manifest-invalid', message, { expected, got });
}

async function checkTotals(reader: SnapshotReader): Promise<void> {
  const { files, totals, content_id } = reader.manifest;
  const total = (field: 'samples' | 'positions' | 'bytes', own: readonly ManifestFile[]) =>
    own.reduce((sum, file) => sum + file[field], 0);
  const shards = files.filter(({ role }) => role === 'shard');
  const sums = [total('samples', shards), total('positions', shards), total('bytes', files)];
  const stated = [totals.samples, totals.positions, totals.bytes];
  if (sums.join() !== stated.join()) throw wrongManifest(sums, stated);
  const contentId = await hashSampleIds(reader);
  if (contentId !== content_id) throw wrongManifest(content_id, contentId);
}
