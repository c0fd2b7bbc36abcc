/** What the sparsifiers of scaled targets share: a rule that cuts a ranked list, and the rest. */
import type { DenseRows, ListRows } from '../distribution/rows.ts';
import type { Targets } from '../distribution/targets.ts';
import { LogitcaskError } from '../errors.ts';
import type { RowKernel } from '../kernel/row.ts';
import { checkLength, kernels, trimmed } from './dense.ts';
import type { Sparsifier, SparsifyContext } from './sparsifier.ts';

/** How many of a position's first `count` entries are kept; log-probs descend from index `from`. */
export type Cut = (
  logprobs: Float32Array | Float64Array,
  range: { from: number; count: number },
) => number;

export interface ScaledOptions {
  readonly name: string;
  /** Most entries that a position can keep. */
  readonly entriesMax: number;
  readonly parameters: Sparsifier['parameters'];
  readonly cut: Cut;
}

export function scaledSparsifier({ cut, ...options }: ScaledOptions): Sparsifier {
  const { entriesMax } = options;
  const kernelFor = kernels(entriesMax);
  return {
    ...options,
    kind: 'scaled',
    sparsify: (rows, context) =>
      rows.form === 'dense'
        ? fromDense(rows, context, { cut, kernel: kernelFor(rows, context.temperatures) })
        : fromLists(rows, context, { cut, entriesMax }),
  };
}

function allocate(count: number, entriesMax: number, temperatures: number): Targets {
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

function fromDense(
  rows: DenseRows,
  { labels, temperatures }: SparsifyContext,
  { cut, kernel }: { cut: Cut; kernel: RowKernel },
): Targets {
  checkLength(rows);
  const { logprobs } = kernel;
  const out = allocate(rows.count, rows.count * logprobs.length, temperatures.length);
  let at = 0;
  for (let t = 0; t < rows.count; t++) {
    const count = kernel.run(rows.values, t * rows.width);
    const kept = cut(logprobs, { from: 0, count });
    out.ids.set(kernel.ids.subarray(0, kept), at);
    out.logprobs.set(logprobs.subarray(0, kept), at);
    at += kept;
    let { rest } = kernel;
    for (let i = count - 1; i >= kept; i--) rest += Math.exp(logprobs[i]);
    out.offsets[t + 1] = at;
    out.rest[t] = rest;
    if (labels[t] >= 0) out.labelLogprob[t] = kernel.logprob(labels[t]);
    out.logZ.set(kernel.logZ, t * temperatures.length);
  }
  return trimmed(out, at);
}

function fromLists(
  rows: ListRows,
  { labels, temperatures }: SparsifyContext,
  { cut, entriesMax }: { cut: Cut; entriesMax: number },
): Targets {
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
    const end = from + cut(rows.logprobs, { from, count: Math.min(to - from, entriesMax) });
    let kept = 0;
    let dropped = 0;
    for (let i = from; i < to; i++) {
      const p = Math.exp(rows.logprobs[i]);
      if (!(p < Number.POSITIVE_INFINITY)) refuse(rows.logprobs[i], rows.ids[i]);
      if (rows.ids[i] === labels[t]) out.labelLogprob[t] = rows.logprobs[i];
      if (i >= end) dropped += p;
      else if (p > 0) {
        out.ids[at] = rows.ids[i];
        out.logprobs[at++] = rows.logprobs[i];
        kept += p;
      }
    }
    out.offsets[t + 1] = at;
    // log-probs are rounded: Σ p may reach 1 although entries with mass were cut
    const rest = rows.tail === undefined ? Math.max(dropped, 1 - kept) : rows.tail[t] + dropped;
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
