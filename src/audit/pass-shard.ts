/** One shard of the pass: read once, hashed, decoded, and shown to every tally. */
import { createHash } from 'node:crypto';
import type { Manifest, ManifestFile } from '../../schemas/manifest.ts';
import { LogitcaskError } from '../errors.ts';
import { sha256Hex } from '../formats/canonical.ts';
import { shardColumns } from '../shard/columns.ts';
import { decodeIndex, indexDamaged, rowRecordBytes } from '../shard/index-file.ts';
import { filePath, indexNameOf } from '../shard/names.ts';
import type { ReferencePosition } from '../shard/reference.ts';
import { sampleIdBytes } from '../shard/sample-id.ts';
import { shardDamaged } from '../shard/shard-file.ts';
import type { Store } from '../store/store.ts';
import type { Pace, PaceShare } from './pace.ts';
import { type FoundProblem, isFailure, problemOf, wrongManifest } from './problem.ts';
import { openSamples } from './samples.ts';
import { type ReadMemory, readShardBytes } from './shard-bytes.ts';
import { beginTallies, type TallyValues } from './tallies.ts';
import type { AuditSample } from './tally.ts';

/** Plain data, so that it can be sent to a thread. */
export interface ShardTask {
  /** Of the store. */
  readonly url: string;
  /** Of the snapshot; its files are the shard alone. */
  readonly manifest: Manifest;
  readonly index: ManifestFile | undefined;
  /** Ordinal of the shard's first sample. */
  readonly first: number;
  /** Whether samples are counted, rather than proved only. */
  readonly counts: boolean;
  readonly pace: PaceShare | undefined;
  /** Rows of the reference that are the shard's, in order of ordinals; and its file. */
  readonly reference: readonly ReferencePosition[];
  readonly referenceName: string | undefined;
}

export interface ShardResult {
  /** At most one each of the shard, of its index, and of its rows of the reference. */
  readonly problems: readonly FoundProblem[];
  /** Undefined where nothing is counted, or the shard or its index is damaged. */
  readonly values: TallyValues | undefined;
}

export interface ShardContext {
  readonly memory: ReadMemory;
  readonly pace: Pace;
  readonly signal?: AbortSignal;
}

/** Throws `interrupted`, and what the program gets wrong; what the store holds wrong is named. */
export async function passShard(
  store: Store,
  task: ShardTask,
  { memory, pace, signal }: ShardContext,
): Promise<ShardResult> {
  const paced: Paced = async (bytes) => {
    await pace(bytes, signal);
    if (signal?.aborted) throw stopped();
  };
  const [file] = task.manifest.files;
  const problems: FoundProblem[] = [];
  const indexName = indexNameOf(file.name);
  const index = await attempt(indexName, problems, (proved) =>
    readIndex(store, task, { paced, proved }),
  );
  const found = await attempt(file.name, problems, (proved) =>
    readShardRows(store, { task, index, memory, paced, proved }),
  );
  if (found?.wrongRow !== undefined) problems.push(problemOf(file.name, found.wrongRow));
  if (found?.wrongRecord !== undefined) problems.push(problemOf(indexName, found.wrongRecord));
  if (found?.wrongReference !== undefined) {
    problems.push(problemOf(task.referenceName ?? '', found.wrongReference));
  }
  return { problems, values: index === undefined ? undefined : found?.values };
}

/** Awaited before, or after, so many bytes are read. */
export type Paced = (bytes: number) => Promise<void>;

interface Proving {
  readonly paced: Paced;
  /** The file's bytes are those of the manifest: what is wrong from now on was written so. */
  readonly proved: () => void;
}

/** Adds what is wrong with a file, and gives nothing then. Throws what says nothing of the file. */
export async function attempt<T>(
  file: string,
  problems: FoundProblem[],
  action: (proved: () => void) => Promise<T>,
): Promise<T | undefined> {
  let isProved = false;
  const proved = () => {
    isProved = true;
  };
  try {
    return await action(proved);
  } catch (error) {
    if (isFailure(error)) throw error;
    const { code } = error as LogitcaskError;
    problems.push(problemOf(file, error, code === 'shard-damaged' && !isProved));
    return undefined;
  }
}

/** What is found of a file that is not there. */
export const noFile = 'no file';

/** Throws `shard-damaged`. */
export async function checkSize(store: Store, path: string, file: ManifestFile): Promise<void> {
  const size = await store.size(path);
  if (size !== file.bytes) throw shardDamaged(file.name, `${file.bytes} bytes`, size ?? noFile);
}

/** Throws `shard-damaged`. */
export function checkDigest(file: ManifestFile, digest: string | undefined): void {
  if (digest !== file.sha256) throw shardDamaged(file.name, file.sha256, digest);
}

export function stopped(): LogitcaskError {
  const message = 'audit: stopped; what has been read is kept: run it again to go on';
  return new LogitcaskError('interrupted', message);
}

type Index = ReturnType<typeof decodeIndex>;

/** The shard's index, read once and proved. */
async function readIndex(
  store: Store,
  task: ShardTask,
  { paced, proved }: Proving,
): Promise<Index> {
  const { manifest, index } = task;
  const [shard] = manifest.files;
  if (index === undefined) throw wrongManifest('an index of every shard', 'none');
  const path = filePath(manifest.dataset, index.name);
  await checkSize(store, path, index);
  await paced(index.bytes);
  const bytes = await store.readAll(path);
  checkDigest(index, sha256Hex(bytes));
  proved();
  const decoded = decodeIndex(bytes, path);
  const own = Buffer.from(decoded.header.shardDigest).toString('hex');
  if (own === shard.sha256) return decoded;
  throw shardDamaged(index.name, shard.sha256, own);
}

interface ReadOptions extends Proving {
  readonly task: ShardTask;
  readonly index: Index | undefined;
  readonly memory: ReadMemory;
}

interface FoundRows {
  /** The first row, or batch, that is wrong; and the first record of the index that is. */
  readonly wrongRow: unknown;
  readonly wrongRecord: unknown;
  /** The first row of the reference of a position that its sample does not have. */
  readonly wrongReference: unknown;
  readonly values: TallyValues | undefined;
}

/** Without an index that says where rows lie, the digest alone. */
async function readShardRows(
  store: Store,
  { task, index, memory, paced, proved }: ReadOptions,
): Promise<FoundRows> {
  const { manifest, first, counts } = task;
  const { dataset } = manifest;
  const [file] = manifest.files;
  const path = filePath(dataset, file.name);
  await checkSize(store, path, file);
  const samples = openSamples(manifest, task.reference);
  const tallies = counts ? beginTallies(manifest) : undefined;
  const found: { row?: unknown; record?: unknown; reference?: unknown } = {};
  const hash = createHash('sha256');
  const failed = await readShardBytes(store, {
    memory,
    dataset,
    file,
    columns: shardColumns(manifest),
    batches: index?.header.samples === file.samples ? index.batches : [],
    hash,
    paced,
    visit: (columns, row) =>
      samples.show(columns, first + row, {
        wrong: (error) => {
          found.row ??= error;
        },
        add(sample, ordinal) {
          if (index !== undefined) found.record ??= wrongRecord(index, ordinal - first, sample);
          const { mask, reference } = sample;
          const wrong = reference.find(({ position }) => position >= mask.length);
          if (wrong === undefined) return tallies?.add(sample);
          found.reference ??= wrongReference(wrong, mask.length);
          const inside = reference.filter(({ position }) => position < mask.length);
          tallies?.add({ ...sample, reference: inside });
        },
      }),
  });
  checkDigest(file, hash.digest('hex'));
  proved();
  const failure = [failed, found.row].find((error) => error !== undefined && isFailure(error));
  if (failure !== undefined) throw failure; // in the bytes as they were written
  const wrongCount = index === undefined ? undefined : wrongHeader(file, index, path);
  return {
    wrongRow: wrongCount ?? failed ?? found.row,
    wrongRecord: found.record,
    wrongReference: found.reference,
    values: wrongCount === undefined ? tallies?.values() : undefined,
  };
}

/** Where the manifest says another thing of the shard than its index. */
function wrongHeader({ samples, positions }: ManifestFile, { header }: Index, path: string) {
  if (header.samples !== samples) return indexDamaged(path, `${samples} samples`, header.samples);
  if (header.positions === positions) return undefined;
  return indexDamaged(path, `${positions} positions`, header.positions);
}

/** Where the index says another thing of a sample than its row. */
function wrongRecord({ rows }: Index, row: number, { sampleId, mask }: AuditSample) {
  const at = row * rowRecordBytes;
  let learned = 0;
  for (let t = 0; t < mask.length; t++) learned += mask[t];
  const id = rows.subarray(at, at + sampleIdBytes);
  const [ownPositions, ownLearned] = [rows.readUInt32LE(at + 16), rows.readUInt32LE(at + 20)];
  if (id.equals(sampleId) && ownPositions === mask.length && ownLearned === learned) {
    return undefined;
  }
  const expected = { positions: mask.length, learned };
  const got = { id: id.toString('hex'), positions: ownPositions, learned: ownLearned };
  return indexDamaged(`the record of row ${row}`, expected, got);
}

function wrongReference({ ordinal, position }: ReferencePosition, positions: number) {
  const message = `reference: sample ${ordinal} has no position ${position}; build it again`;
  return new LogitcaskError('shard-damaged', message, { expected: positions, got: position });
}
