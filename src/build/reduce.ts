/** Reduces a chunk of rows to what is stored of it: the work that other threads share. */
import type { DenseRows, Rows } from '../distribution/rows.ts';
import type { Targets } from '../distribution/targets.ts';
import { type ErrorCode, LogitcaskError } from '../errors.ts';
import type { Sparsifier, SparsifyContext } from '../sparsify/sparsifier.ts';
import { createSparsifier, type SparsifierOptions } from '../sparsify/table.ts';

/** Plain data, so that it can be sent to a thread. */
export interface ReduceTask {
  readonly sparsifier: SparsifierOptions;
  readonly rows: Rows;
  readonly context: SparsifyContext;
  /** Rows whose exact list is wanted as well, of `entries` at most. */
  readonly wanted: readonly number[];
  readonly entries: number;
}

export interface Reduced {
  readonly targets: Targets;
  /** Top lists of the rows wanted, in their order. */
  readonly exact: readonly Targets[];
  /** CPU-bound seconds that it took. */
  readonly seconds: number;
}

/** An error as data: what a thread throws arrives without its code. */
export interface ReduceFailure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly expected: unknown;
  readonly got: unknown;
}

const sparsifiers = new Map<string, Sparsifier>();

function sparsifierOf(options: SparsifierOptions): Sparsifier {
  const key = JSON.stringify(options);
  const sparsifier = sparsifiers.get(key) ?? createSparsifier(options);
  sparsifiers.set(key, sparsifier);
  return sparsifier;
}

export function reduce({ sparsifier, rows, context, wanted, entries }: ReduceTask): Reduced {
  const started = performance.now();
  const targets = sparsifierOf(sparsifier).sparsify(rows, context);
  const lists = sparsifierOf({ type: 'top-k', k: entries });
  const exact = wanted.map((i) =>
    lists.sparsify(oneRow(rows, i), {
      labels: context.labels.subarray(i, i + 1),
      temperatures: [],
      sampleId: context.sampleId,
      position: context.position + i,
    }),
  );
  return { targets, exact, seconds: (performance.now() - started) / 1000 };
}

/** What a thread runs. */
export function reduceInThread(task: ReduceTask): Reduced | ReduceFailure {
  try {
    return reduce(task);
  } catch (error) {
    if (!(error instanceof LogitcaskError)) throw error;
    const { code, message, expected, got } = error;
    return { code, message, expected, got };
  }
}

function oneRow(rows: Rows, i: number): Rows {
  if (rows.form === 'dense') {
    const values = rows.values.subarray(i * rows.width, (i + 1) * rows.width);
    return { ...rows, count: 1, values: values as DenseRows['values'] };
  }
  const [from, to] = [rows.offsets[i], rows.offsets[i + 1]];
  return {
    ...rows,
    count: 1,
    offsets: Uint32Array.of(0, to - from),
    ids: rows.ids.subarray(from, to),
    logprobs: rows.logprobs.subarray(from, to),
    tail: rows.tail?.subarray(i, i + 1),
    labelLogprob: rows.labelLogprob?.subarray(i, i + 1),
  };
}
