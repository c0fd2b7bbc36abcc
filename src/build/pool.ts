/** Threads that reduce chunks of whole rows, and the memory that they share with the source. */
import { setImmediate as turn } from 'node:timers/promises';
import { type FileRows, fileRowsBytes } from '../capture/file-rows.ts';
import { chunkBytesMax, type Lend } from '../capture/source.ts';
import type { Threads } from '../capture/threads.ts';
import type { DenseRows } from '../distribution/rows.ts';
import { type ErrorData, errorOfData } from '../errors.ts';
import { type Reduced, type ReduceTask, reduce } from './reduce.ts';

export interface Pool {
  /** Chunks that may be under way at once: the source's memory is bounded by it. */
  readonly ahead: number;
  /** Lends memory until the chunk that lies in it has been reduced. */
  readonly lend: Lend;
  /** Throws what `reduce` throws. */
  run(task: ReduceTask): Promise<Reduced>;
}

/** So many bytes are reduced in this thread, unless there are others: a small build starts none. */
const ownBytes = 64 * 1024 * 1024;

export function createPool(threads: Threads): Pool {
  const free: SharedArrayBuffer[] = [];
  let own = Number.POSITIVE_INFINITY;
  if (threads.count > 1) own = threads.isStarted ? 0 : ownBytes;

  const inThread = async (task: ReduceTask): Promise<Reduced> => {
    const result = (await threads.run('reduceInThread', task)) as Reduced | ErrorData;
    if ('targets' in result) return result;
    throw errorOfData(result);
  };

  return {
    ahead: threads.count + 1,
    lend(bytes) {
      const found = free.findIndex(({ byteLength }) => byteLength >= bytes);
      if (found >= 0) return free.splice(found, 1)[0];
      return new SharedArrayBuffer(Math.max(bytes, chunkBytesMax));
    },
    async run(task) {
      const { rows } = task;
      if (rows.form === 'lists') return reduce(task);
      try {
        if (own <= 0) return await inThread(task);
        own -= bytesOf(rows);
        await turn(); // rows of a file are read at once: signals, too, are to be heard meanwhile
        return reduce(task);
      } finally {
        const memory: unknown = rows.form === 'dense' && rows.values.buffer;
        if (memory instanceof SharedArrayBuffer) free.push(memory);
      }
    },
  };
}

function bytesOf(rows: DenseRows | FileRows): number {
  return rows.form === 'dense' ? rows.values.byteLength : fileRowsBytes(rows);
}
