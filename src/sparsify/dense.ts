/** What sparsifiers share over whole rows: a kernel for each shape, targets of the length used. */
import type { DenseRows } from '../distribution/rows.ts';
import type { Targets } from '../distribution/targets.ts';
import { LogitcaskError } from '../errors.ts';
import { createRowKernel, type RowKernel } from '../kernel/row.ts';

/** Kernels for K entries, by the rows' type and width and the temperatures; made once each. */
export function kernels(k: number) {
  const made = new Map<string, RowKernel>();
  return ({ type, width }: DenseRows, temperatures: readonly number[]): RowKernel => {
    const key = `${type} ${width} ${temperatures.join(',')}`;
    const kernel = made.get(key) ?? createRowKernel({ k, width, type, temperatures });
    made.set(key, kernel);
    return kernel;
  };
}

export function trimmed(targets: Targets, entries: number): Targets {
  if (entries === targets.ids.length) return targets;
  return {
    ...targets,
    ids: targets.ids.slice(0, entries),
    logprobs: targets.logprobs.slice(0, entries),
  };
}

export function checkLength({ count, width, values }: DenseRows): void {
  if (values.length === count * width) return;
  const message = `sparsify: ${count} rows of ${width} logits hold ${values.length} values`;
  throw new LogitcaskError('source-mismatch', message, {
    expected: count * width,
    got: values.length,
  });
}
