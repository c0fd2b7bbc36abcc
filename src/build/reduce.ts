/** Reduces a chunk of rows to what is stored of it: the work that other threads share. */
import { oneRow, type Rows } from '../distribution/rows.ts';
import type { Targets } from '../distribution/targets.ts';
import { type ErrorData, errorData } from '../errors.ts';
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
  const type = sparsifier.type === 'independent' ? 'independent' : 'top-k';
  const lists = sparsifierOf({ type, k: entries });
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
export function reduceInThread(task: ReduceTask): Reduced | ErrorData {
  try {
    return reduce(task);
  } catch (error) {
    return errorData(error);
  }
}
