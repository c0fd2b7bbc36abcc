/** Threads of an audit, on all cores: each reads a shard at a time, and one measures the size. */
import { availableParallelism } from 'node:os';
import { Piscina } from 'piscina';
import type { AuditSize } from '../../schemas/audit.ts';
import type { Manifest } from '../../schemas/manifest.ts';
import { threadFile } from '../built.ts';
import { type ErrorData, errorOfData } from '../errors.ts';
import { shardsOf } from '../shard/names.ts';
import type { ReferencePosition } from '../shard/reference.ts';
import type { Store } from '../store/store.ts';
import { type Clock, paceOf, processClock } from './pace.ts';
import { passShard, type ShardResult, type ShardTask, stopped } from './pass-shard.ts';
import { readMemory } from './shard-bytes.ts';
import { auditSize, type SizeOptions } from './size.ts';

export interface ThreadOptions {
  /** Threads, 6 at most; by default all cores, and the calling one alone for a small snapshot. */
  readonly workers?: number;
  /** Ends what runs with `interrupted`. */
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
}

export interface AuditThreads {
  /** 0 where all that is asked for runs in the calling thread. */
  readonly count: number;
  passShard(task: ShardTask): Promise<ShardResult>;
  size(options: SizeOptions): Promise<AuditSize>;
  close(): Promise<void>;
}

/** A snapshot with fewer bytes of shards is small. */
const ownBytes = 16 * 1024 * 1024;
/** Each takes some 45 MiB: more would not stay below 512 MiB together. */
const threadsMax = 6;
/** So small that decompressed blocks, which lie outside the heap, are freed soon. */
const youngMb = 4;

/** A small snapshot starts no thread that is not asked for. */
export function openThreads(
  store: Store,
  manifest: Manifest,
  { workers, signal, clock = processClock }: ThreadOptions,
): AuditThreads {
  const shards = shardsOf(manifest);
  const bytes = shards.reduce((sum, file) => sum + file.bytes, 0);
  // asked for, even one is a thread: whoever serves on the calling one cannot wait
  const wanted = workers ?? (bytes <= ownBytes ? 0 : availableParallelism());
  const count = Math.min(wanted, threadsMax, shards.length);
  return count === 0
    ? inCallingThread(store, { signal, clock })
    : startThreads(store, count, signal);
}

function inCallingThread(
  store: Store,
  { signal, clock }: { signal?: AbortSignal; clock: Clock },
): AuditThreads {
  const memory = readMemory();
  return {
    count: 0,
    async passShard(task) {
      if (signal?.aborted) throw stopped();
      return passShard(store, task, { memory, pace: paceOf(task.pace, clock), signal });
    },
    size: (options) => auditSize(store, { ...options, signal }),
    close: async () => {},
  };
}

function startThreads({ url }: Store, count: number, signal?: AbortSignal): AuditThreads {
  const piscina = new Piscina({
    filename: threadFile('audit'),
    minThreads: count,
    maxThreads: count,
    resourceLimits: { maxYoungGenerationSizeMb: youngMb },
  });
  async function run<T extends object>(name: string, task: object, transferList?: ArrayBuffer[]) {
    const result: T | ErrorData = await piscina
      .run(task, { name, signal, transferList })
      .catch((error: unknown) => {
        throw signal?.aborted ? stopped() : error;
      });
    if (!('code' in result)) return result;
    throw errorOfData(result);
  }
  return {
    count,
    passShard(task) {
      const { rows: reference, transferList } = moved(task.reference);
      return run<ShardResult>('passShardInThread', { ...task, reference }, transferList);
    },
    size: (options) => run<AuditSize>('sizeInThread', { ...options, url }),
    close: () => piscina.destroy(),
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
