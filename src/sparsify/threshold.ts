/**
 * Unbiased sampling: keeps every p ≥ τ, and each p < τ with probability p / τ at weight τ, so that
 * the weights equal the distribution in expectation. The tail is drawn systematically: the number
 * of draws then varies by one at most, and the weights sum to nearly 1 in every row.
 */
import type { DenseRows, ListRows } from '../distribution/rows.ts';
import type { Targets } from '../distribution/targets.ts';
import { LogitcaskError } from '../errors.ts';
import type { RowKernel } from '../kernel/row.ts';
import { checkLength, kernels, trimmed } from './dense.ts';
import { type PositionStream, positionStream } from './random.ts';
import type { Sparsifier, SparsifyContext } from './sparsifier.ts';

export interface ThresholdOptions {
  /** The least probability kept for sure, and the weight of what is drawn below it. */
  readonly tau: number;
  /**
   * Step on √p of the codec's levels. The weights above τ are then rounded at random to one of
   * their two neighbouring levels so that p is their expectation. Left out: they stay exact.
   */
  readonly step?: number;
}

export function threshold(options: ThresholdOptions): Sparsifier {
  const tau = Math.fround(options.tau);
  const step = options.step === undefined ? undefined : Math.fround(options.step);
  const headMax = Math.floor(1 / tau); // so many p ≥ τ fit into 1
  const kernelFor = kernels(headMax);
  return {
    name: 'threshold',
    kind: 'unbiased',
    entriesMax: headMax + 1,
    parameters: { tau: options.tau },
    sparsify(rows, context) {
      if (rows.form === 'lists') {
        if (rows.drawn !== tau) throw listsRefused();
        return fromDrawn(rows, context, { tau, step });
      }
      const kernel = kernelFor(rows, context.temperatures);
      return fromDense(rows, context, { kernel, tau, step });
    },
  };
}

function listsRefused(): LogitcaskError {
  const message =
    'sparsify: `threshold` draws from the whole distribution, but the source gives top lists; ' +
    'use top-k or top-p';
  return new LogitcaskError('config-invalid', message, {
    expected: 'a source of whole distributions',
    got: 'top lists',
  });
}

interface Rule {
  readonly kernel: RowKernel;
  readonly tau: number;
  readonly step: number | undefined;
}

function fromDense(rows: DenseRows, context: SparsifyContext, rule: Rule): Targets {
  checkLength(rows);
  const { labels, temperatures, sampleId, position } = context;
  const { kernel, tau } = rule;
  const entriesMax = rows.count * (kernel.logprobs.length + 2);
  const out = {
    kind: 'unbiased' as const,
    count: rows.count,
    offsets: new Uint32Array(rows.count + 1),
    ids: new Uint32Array(entriesMax),
    logprobs: new Float32Array(entriesMax),
    rest: new Float32Array(0),
    labelLogprob: new Float32Array(rows.count).fill(Number.NaN),
    logZ: new Float32Array(rows.count * temperatures.length),
  };
  const stream = positionStream(sampleId);
  const logTau = Math.log(tau);
  let at = 0;
  for (let t = 0; t < rows.count; t++) {
    const count = kernel.run(rows.values, t * rows.width);
    stream.seek(position + t);
    const first = at;
    let head = 0;
    const start = stream.next();
    for (; head < count && kernel.logprobs[head] >= logTau; head++) {
      out.ids[at] = kernel.ids[head];
      out.logprobs[at++] = rounded(kernel.logprobs[head], rule.step, stream);
    }
    const draws = kernel.draw(head, tau, start);
    const drawn = kernel.drawn.subarray(0, draws).sort();
    out.ids.set(drawn, at);
    out.logprobs.fill(logTau, at, at + draws);
    at += draws;
    rank(out, first, at);
    out.offsets[t + 1] = at;
    if (labels[t] >= 0) out.labelLogprob[t] = kernel.logprob(labels[t]);
    out.logZ.set(kernel.logZ, t * temperatures.length);
  }
  return trimmed(out, at);
}

/** What was drawn elsewhere; the weights above τ take the levels that a draw here would give. */
function fromDrawn(
  { count, offsets, ids, logprobs, labelLogprob }: ListRows,
  { sampleId, position }: SparsifyContext,
  { tau, step }: Omit<Rule, 'kernel'>,
): Targets {
  const out = {
    kind: 'unbiased' as const,
    count,
    offsets,
    ids: ids.slice(),
    logprobs: logprobs.slice(),
    rest: new Float32Array(0),
    labelLogprob: labelLogprob ?? new Float32Array(count).fill(Number.NaN),
    logZ: new Float32Array(0),
  };
  const stream = positionStream(sampleId);
  const atTau = Math.fround(Math.log(tau));
  for (let t = 0; t < count; t++) {
    stream.seek(position + t);
    stream.next(); // where the draws began
    for (let i = offsets[t]; i < offsets[t + 1] && logprobs[i] > atTau; i++) {
      out.logprobs[i] = rounded(logprobs[i], step, stream);
    }
    rank(out, offsets[t], offsets[t + 1]);
  }
  return out;
}

/** Log of one of the two levels around p, each taken so often that their mean is p. */
function rounded(logprob: number, step: number | undefined, stream: PositionStream): number {
  if (step === undefined) return logprob;
  const below = Math.floor(Math.exp(logprob / 2) / step);
  const low = (below * step) ** 2;
  const high = ((below + 1) * step) ** 2;
  const up = stream.next() * (high - low) < Math.exp(logprob) - low;
  return 2 * Math.log((up ? below + 1 : below) * step);
}

/** Insertion sort into rank order; rounding only swaps neighbours. */
function rank({ ids, logprobs }: Targets, from: number, to: number): void {
  for (let i = from + 1; i < to; i++) {
    const [id, logprob] = [ids[i], logprobs[i]];
    let j = i;
    for (; j > from; j--) {
      const before = logprobs[j - 1];
      if (before > logprob || (before === logprob && ids[j - 1] < id)) break;
      ids[j] = ids[j - 1];
      logprobs[j] = before;
    }
    ids[j] = id;
    logprobs[j] = logprob;
  }
}
