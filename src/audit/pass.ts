/**
 * The pass over a snapshot: each shard is read once, by threads on all cores, and its result comes
 * back in order. A small snapshot starts no thread that is not asked for.
 */
import { availableParallelism } from 'node:os';
import { Piscina } from 'piscina';
import type { Manifest, ManifestFile } from '../../schemas/manifest.ts';
import { threadFile } from '../built.ts';
import { type ErrorData, LogitcaskError } from '../errors.ts';
import { filePath, indexNameOf } from '../shard/names.ts';
import { type ReferencePosition, readReference } from '../shard/reference.ts';
import type { Store } from '../store/store.ts';
import { type Clock, type PaceShare, paceOf, processClock } from './pace.ts';
import { passShard, type ShardResult, type ShardTask, stopped } from './pass-shard.ts';
import { isDamage } from './problem.ts';
import { readMemory } from './shard-bytes.ts';

export interface PassOptions {
  readonly manifest: Manifest;
  /** Whether samples are counted, rather than proved only. */
  readonly counts: boolean;
  /** Threads, 6 at most; by default all cores, and the calling one alone for a small snapshot. */
  readonly workers?: number;
  readonly pace?: PaceShare;
  /** Ends the pass with `interrupted`. */
  readonly signal?: AbortSignal;
  /** What is known of a shard already: it is not read. */
  readonly known?: (shard: number, file: ManifestFile) => Promise<ShardResult | undefined>;
  readonly clock?: Clock;
}

export interface PassedShard extends ShardResult {
  readonly file: ManifestFile;
  readonly isKnown: boolean;
}

/** A snapshot with fewer bytes of shards is small. */
const ownBytes = 16 * 1024 * 1024;
/** Each takes some 45 MiB: more would not stay below 512 MiB together. */
const threadsMax = 6;
/** So small that decompressed blocks, which lie outside the heap, are freed soon. */
const youngMb = 4;

export const isShard = ({ role }: ManifestFile) => role === 'shard';

export async function* passShards(store: Store, options: PassOptions): AsyncGenerator<PassedShard> {
  const { known } = options;
  const tasks = tasksOf(store, options);
  const reference = options.counts ? openReference(store, options.manifest) : noReference;
  const runner = createRunner(store, options, tasks);
  const pass = async (task: ShardTask, shard: number): Promise<PassedShard> => {
    const [file] = task.manifest.files;
    const found = await known?.(shard, file);
    return { ...(found ?? (await runner.run(task))), file, isKnown: found !== undefined };
  };
  const begun: Promise<PassedShard>[] = [];
  try {
    for (const [shard, task] of tasks.entries()) {
      const rows = await reference(task.first + task.manifest.files[0].samples);
      const passing = pass({ ...task, reference: rows }, shard);
      passing.catch(() => {}); // it is awaited later
      begun.push(passing);
      if (begun.length >= runner.ahead) yield (await begun.shift())!;
    }
    for (const passing of begun) yield await passing;
  } finally {
    await runner.close();
  }
}

const noReference = async (): Promise<readonly ReferencePosition[]> => [];

/**
 * Gives the rows of the reference that are left, of ordinals below the one asked for. One that is
 * damaged or gone gives none from there on: it is named with the other files.
 */
function openReference(store: Store, { dataset, files }: Manifest) {
  const file = files.find(({ role }) => role === 'reference');
  if (file === undefined) return noReference;
  const parts = readReference(store, filePath(dataset, file.name));
  let rest: readonly ReferencePosition[] = [];
  let ended = false;
  return async (end: number): Promise<readonly ReferencePosition[]> => {
    const found: ReferencePosition[] = [];
    for (;;) {
      const own = rest.findIndex(({ ordinal }) => ordinal >= end);
      found.push(...rest.slice(0, own < 0 ? rest.length : own));
      rest = own < 0 ? [] : rest.slice(own);
      if (own >= 0 || ended) return found;
      const next = await parts.next().catch((error: unknown) => {
        if (isDamage(error)) return { done: true as const };
        throw error;
      });
      if (next.done) ended = true;
      else rest = next.value;
    }
  };
}

/**
 * Rows whose lists lie together in two buffers, which go to a thread as they are: thousands of
 * buffers would each be copied, and freed late.
 */
function moved(rows: readonly ReferencePosition[]) {
  const ids = new Uint32Array(rows.reduce((sum, row) => sum + row.ids.length, 0));
  const logprobs = new Float32Array(rows.reduce((sum, row) => sum + row.logprobs.length, 0));
  let [id, logprob] = [0, 0];
  const together = rows.map((row) => {
    const own = {
      ids: ids.subarray(id, id + row.ids.length),
      logprobs: logprobs.subarray(logprob, logprob + row.logprobs.length),
    };
    own.ids.set(row.ids);
    own.logprobs.set(row.logprobs);
    id += own.ids.length;
    logprob += own.logprobs.length;
    return { ...row, ...own };
  });
  return { rows: together, transferList: [ids.buffer, logprobs.buffer] };
}

function tasksOf(store: Store, { manifest, counts, pace }: PassOptions): ShardTask[] {
  const indexes = new Map(manifest.files.map((file) => [file.name, file]));
  const referenceName = manifest.files.find(({ role }) => role === 'reference')?.name;
  let first = 0;
  return manifest.files.filter(isShard).map((file) => {
    const index = indexes.get(indexNameOf(file.name));
    const own = { ...manifest, files: [file] };
    const shared = { url: store.url, counts, pace, reference: [], referenceName };
    const task = { ...shared, manifest: own, index, first };
    first += file.samples;
    return task;
  });
}

interface Runner {
  /** Shards that may be under way, or wait for the one before them. */
  readonly ahead: number;
  run(task: ShardTask): Promise<ShardResult>;
  close(): Promise<void>;
}

function createRunner(
  store: Store,
  { workers, signal, clock = processClock }: PassOptions,
  tasks: readonly ShardTask[],
): Runner {
  const bytes = tasks.reduce((sum, { manifest }) => sum + manifest.files[0].bytes, 0);
  // asked for, even one is a thread: whoever serves on the calling one cannot wait
  const wanted = workers ?? (bytes <= ownBytes ? 0 : availableParallelism());
  const threads = Math.min(wanted, threadsMax, tasks.length);
  if (threads === 0) {
    const memory = readMemory();
    const run = async (task: ShardTask) => {
      if (signal?.aborted) throw stopped();
      return passShard(store, task, { memory, pace: paceOf(task.pace, clock), signal });
    };
    return { ahead: 1, run, close: async () => {} };
  }
  const piscina = new Piscina({
    filename: threadFile('pass-shard'),
    name: 'passInThread',
    minThreads: threads,
    maxThreads: threads,
    resourceLimits: { maxYoungGenerationSizeMb: youngMb },
  });
  return {
    ahead: 2 * threads,
    async run(task) {
      const { rows: reference, transferList } = moved(task.reference);
      const result: ShardResult | ErrorData = await piscina
        .run({ ...task, reference }, { signal, transferList })
        .catch((error: unknown) => {
          throw signal?.aborted ? stopped() : error;
        });
      if ('problems' in result) return result;
      const { code, message, expected, got } = result;
      throw new LogitcaskError(code, message, { expected, got });
    },
    close: () => piscina.destroy(),
  };
}
