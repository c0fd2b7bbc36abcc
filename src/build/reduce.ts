/** Reduces a chunk of rows to what is stored of it: the work that other threads share. */
import { type FileRows, fileRowsBytes, readRows } from '../capture/file-rows.ts';
import { chunkBytesMax } from '../capture/source.ts';
import { type Rows, selectRows } from '../distribution/rows.ts';
import type { Targets } from '../distribution/targets.ts';
import { type ErrorData, errorData } from '../errors.ts';
import type { Sparsifier, SparsifyContext } from '../sparsify/sparsifier.ts';
import { createSparsifier, type SparsifierOptions } from '../sparsify/table.ts';

/** Plain data, so that it can be sent to a thread. */
export interface ReduceTask {
  readonly sparsifier: SparsifierOptions;
  readonly rows: Rows | FileRows;
  readonly context: SparsifyContext;
  /** Rows whose exact list is wanted as well, of `entries` at most. */
  readonly wanted: readonly number[];
  readonly entries: number;
}

export interface Reduced {
  readonly targets: Targets;
  /** Top lists of the rows wanted, in their order; not given where none is. */
  readonly exact?: Targets;
  /** What it took to read the rows, where they lay in a file, and to reduce them. */
  readonly seconds: { readonly capture: number; readonly sparsify: number };
}

const sparsifiers = new Map<string, Sparsifier>();

function sparsifierOf(options: SparsifierOptions): Sparsifier {
  const key = JSON.stringify(options);
  const sparsifier = sparsifiers.get(key) ?? createSparsifier(options);
  sparsifiers.set(key, sparsifier);
  return sparsifier;
}

/** This thread's own, for rows that lie in a file: those of one chunk after the other. */
let memory = new ArrayBuffer(0);

function inMemory(rows: Rows | FileRows): Rows {
  if (rows.form !== 'file') return rows;
  const bytes = fileRowsBytes(rows);
  if (memory.byteLength < bytes) memory = new ArrayBuffer(Math.max(bytes, chunkBytesMax));
  return readRows(rows, memory);
}

export function reduce(task: ReduceTask): Reduced {
  const started = performance.now();
  const rows = inMemory(task.rows);
  const read = performance.now();
  const { sparsifier, context, wanted } = task;
  const targets = sparsifierOf(sparsifier).sparsify(rows, context);
  const exact = wanted.length === 0 ? undefined : exactOf(rows, task);
  const seconds = {
    capture: (read - started) / 1000,
    sparsify: (performance.now() - read) / 1000,
  };
  return { targets, exact, seconds };
}

function exactOf(rows: Rows, { sparsifier, context, wanted, entries }: ReduceTask): Targets {
  const type = sparsifier.type === 'independent' ? 'independent' : 'top-k';
  const lists = sparsifierOf({ type, k: entries });
  return lists.sparsify(selectRows(rows, wanted), {
    labels: Int32Array.from(wanted, (i) => context.labels[i]),
    temperatures: [],
    sampleId: context.sampleId,
    position: context.position, // lists are not drawn
  });
}

/** What a thread runs. */
export function reduceInThread(task: ReduceTask): Reduced | ErrorData {
  try {
    return reduce(task);
  } catch (error) {
    return errorData(error);
  }
}
