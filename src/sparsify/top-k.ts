/** Keeps the K most probable entries: exact, biased by the mass it leaves to `rest`. */

import type { DenseRows, ListRows } from '../distribution/rows.ts';
import type { Targets } from '../distribution/targets.ts';
import { LogitcaskError } from '../errors.ts';
import { createTopK, type TopKKernel } from '../kernel/top-k.ts';
import type { Sparsifier, SparsifyContext } from './sparsifier.ts';

export function topK({ k }: { k: number }): Sparsifier {
  const kernels = new Map<string, TopKKernel>();
  const kernelFor = (rows: DenseRows, temperatures: readonly number[]) => {
    const key = `${rows.type} ${rows.width} ${temperatures.join(',')}`;
    const known = kernels.get(key);
    if (known !== undefined) return known;
    const kernel = createTopK({ k, width: rows.width, type: rows.type, temperatures });
    kernels.set(key, kernel);
    return kernel;
  };
  return {
    name: 'top-k',
    kind: 'scaled',
    entriesMax: k,
    parameters: { k },
    sparsify: (rows, context) =>
      rows.form === 'dense'
        ? fromDense(rows, context, { k, kernel: kernelFor(rows, context.temperatures) })
        : fromLists(rows, context, k),
  };
}

function allocate(count: number, entriesMax: number, temperatures: number) {
  return {
    kind: 'scaled' as const,
    count,
    offsets: new Uint32Array(count + 1),
    ids: new Uint32Array(entriesMax),
    logprobs: new Float32Array(entriesMax),
    rest: new Float32Array(count),
    labelLogprob: new Float32Array(count).fill(Number.NaN),
    logZ: new Float32Array(count * temperatures),
  };
}

function trimmed(targets: Targets, entries: number): Targets {
  return {
    ...targets,
    ids: targets.ids.slice(0, entries),
    logprobs: targets.logprobs.slice(0, entries),
  };
}

function checkLength({ count, width, values }: DenseRows): void {
  if (values.length === count * width) return;
  const message = `sparsify: ${count} rows of ${width} logits hold ${values.length} values`;
  throw new LogitcaskError('source-mismatch', message, {
    expected: count * width,
    got: values.length,
  });
}

function fromDense(
  rows: DenseRows,
  { labels, temperatures }: SparsifyContext,
  { k, kernel }: { k: number; kernel: TopKKernel },
): Targets {
  checkLength(rows);
  const out = allocate(rows.count, rows.count * Math.min(k, rows.width), temperatures.length);
  let at = 0;
  for (let t = 0; t < rows.count; t++) {
    const kept = kernel.run(rows.values, t * rows.width);
    for (let i = 0; i < kept; i++, at++) {
      out.ids[at] = kernel.ids[i];
      out.logprobs[at] = kernel.logprobs[i];
    }
    out.offsets[t + 1] = at;
    out.rest[t] = kernel.rest();
    if (labels[t] >= 0) out.labelLogprob[t] = kernel.logprob(labels[t]);
    out.logZ.set(kernel.logZ, t * temperatures.length);
  }
  return trimmed(out, at);
}

function fromLists(rows: ListRows, { labels, temperatures }: SparsifyContext, k: number): Targets {
  if (temperatures.length > 0) {
    throw new LogitcaskError(
      'config-invalid',
      'sparsify: top lists give no log Z at other temperatures; leave out `temperatures`',
      { expected: 'whole distributions', got: 'top lists' },
    );
  }
  const out = allocate(rows.count, rows.ids.length, 0);
  let at = 0;
  for (let t = 0; t < rows.count; t++) {
    const from = rows.offsets[t];
    const to = rows.offsets[t + 1];
    const end = Math.min(to, from + k);
    let kept = 0;
    let cut = 0;
    for (let i = from; i < to; i++) {
      const p = Math.exp(rows.logprobs[i]);
      if (!(p < Number.POSITIVE_INFINITY)) refuse(rows.logprobs[i], rows.ids[i]);
      if (rows.ids[i] === labels[t]) out.labelLogprob[t] = rows.logprobs[i];
      if (i >= end) cut += p;
      else if (p > 0) {
        out.ids[at] = rows.ids[i];
        out.logprobs[at++] = rows.logprobs[i];
        kept += p;
      }
    }
    out.offsets[t + 1] = at;
    // log-probs are rounded: Σ p may reach 1 although entries with mass were cut
    const rest = rows.tail === undefined ? Math.max(cut, 1 - kept) : rows.tail[t] + cut;
    out.rest[t] = to === from ? 1 : Math.min(1, Math.max(0, rest));
  }
  if (rows.labelLogprob !== undefined) out.labelLogprob.set(rows.labelLogprob);
  return trimmed(out, at);
}

function refuse(logprob: number, id: number): never {
  throw new LogitcaskError('row-invalid', `sparsify: a top list holds ${logprob} at id ${id}`, {
    expected: 'log-probs',
    got: String(logprob),
  });
}
