/** One row of logits at a time: its top entries, exact normalisers, and samples of its tail. */
import type { FloatType } from '../distribution/rows.ts';
import { LogitcaskError } from '../errors.ts';
import { type Engine, log2e, strideOf } from './engine.ts';
import { referenceEngine } from './reference.ts';
import { createEngine } from './wasm.ts';

export interface RowKernel {
  /** Where a producer may write a row itself; `run(row, 0)` then copies nothing. */
  readonly row: Float32Array | Uint16Array;
  /**
   * Entries of the last row, value descending, id ascending on ties; the first `count` are valid.
   */
  readonly ids: Uint32Array;
  /** Their log-probs: value − lse. */
  readonly logprobs: Float64Array;
  /** log Σ exp(logp / T) of the last row, one a temperature. */
  readonly logZ: Float64Array;
  /** log Σ exp(value) of the last row, within 3e-6 of the exact one, 1e-7 on real rows. */
  readonly lse: number;
  /** Mass outside the entries of the last row, summed by itself: 0 only where nothing is left. */
  readonly rest: number;
  /** Ids that `draw` took from the last row. */
  readonly drawn: Uint32Array;
  /**
   * Runs over one row of `width` values that starts at index `start`; returns the number of
   * entries: K, or fewer where fewer are finite. Throws `row-invalid` on NaN, +inf and rows without
   * a finite value.
   */
  run(values: Float32Array | Uint16Array, start: number): number;
  /** Log-prob of one id in the last row. */
  logprob(id: number): number;
  /**
   * Draws from everything but the first `head` entries, each entry with probability p / tau, by
   * one systematic pass that starts at `start` in [0, 1); returns how many of `drawn` are valid.
   */
  draw(head: number, tau: number, start: number): number;
}

export interface RowKernelOptions {
  readonly k: number;
  readonly width: number;
  readonly type: FloatType;
  readonly temperatures: readonly number[];
}

/** A value that exceeds the sampled maximum by more would overflow: the row runs again. */
const excessMax = 700;
/** At and below this, float16's −inf, read as −65,536, is not small enough to vanish. */
const halfMin = -65_408;

export function createRowKernel(
  { width, type, temperatures, ...options }: RowKernelOptions,
  create = createEngine,
): RowKernel {
  const k = Math.min(options.k, width);
  const fast = create({ width, type, k });
  const strange = { width, type, k };
  let engine = fast;
  let shift = 0;
  let total = 0;
  let logTotal = 0; // lse − shift: differences stay exact where the row carries a large constant
  const { logprobs } = fast;
  const logZ = new Float64Array(temperatures.length);
  const firstRank = k * 4 < width ? rankFor(k, width) : Number.POSITIVE_INFINITY;
  return {
    row: fast.row,
    logprobs,
    logZ,
    get ids() {
      return engine.ids;
    },
    get drawn() {
      return engine.drawn;
    },
    get lse() {
      return shift + logTotal;
    },
    get rest() {
      return (engine.below + engine.outside) / total;
    },
    run(values, start) {
      engine = fast;
      engine.load(values, start);
      shift = collect(engine, { k, width, firstRank });
      if (type === 'f16' && shift <= halfMin && engine.name === 'wasm') {
        engine = referenceEngine(strange);
        engine.load(values, start);
        shift = collect(engine, { k, width, firstRank });
      }
      const kept = engine.select(k);
      total = engine.below + engine.outside + engine.inside;
      logTotal = Math.log(total);
      engine.normalise(logTotal);
      if (engine !== fast) logprobs.set(engine.logprobs);
      for (let i = 0; i < temperatures.length; i++) {
        const t = temperatures[i];
        const sum = engine.scaledSum(engine.top, Math.fround(log2e / t));
        logZ[i] = Math.log(sum) + (engine.top - shift - logTotal) / t;
      }
      return kept;
    },
    logprob: (id) => engine.value(id) - shift - logTotal,
    draw: (head, tau, start) => engine.draw(head, total * tau, start),
  };
}

/** Rank in the sample of a value that `k` values of the row exceed, with two σ and two to spare. */
function rankFor(k: number, width: number): number {
  const sampled = Math.ceil(width / strideOf(width));
  const expected = (k * sampled) / width;
  return Math.ceil(expected + 2 * Math.sqrt(expected) + 2);
}

/** Collects k values or more, and the sum of the others; returns the shift they are relative to. */
function collect(
  engine: Engine,
  { k, width, firstRank }: { k: number; width: number; firstRank: number },
): number {
  const sampled = Math.ceil(width / strideOf(width));
  const max = engine.sample();
  let shift = Number.isFinite(max) ? max : rowMax(engine, width);
  for (let rank = firstRank; ; ) {
    const threshold = rank < sampled ? engine.nth(rank) : Number.NEGATIVE_INFINITY;
    const count = engine.pass(threshold, shift);
    if (engine.top - shift > excessMax) {
      if (engine.top === Number.POSITIVE_INFINITY) refuse(engine, width);
      shift = engine.top;
    } else if (Number.isNaN(engine.below)) refuse(engine, width);
    else if (count >= k || threshold === Number.NEGATIVE_INFINITY) return shift;
    else rank *= 4;
  }
}

/** The largest value, where the sample holds nothing finite. Refuses what no row may hold. */
function rowMax(engine: Engine, width: number): number {
  let max = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < width; id++) max = Math.max(max, engine.value(id));
  if (Number.isFinite(max)) return max;
  return refuse(engine, width);
}

function refuse(engine: Engine, width: number): never {
  for (let id = 0; id < width; id++) {
    const value = engine.value(id);
    if (value < Number.POSITIVE_INFINITY) continue;
    throw new LogitcaskError(
      'row-invalid',
      `sparsify: a row of logits holds ${value} at id ${id}`,
      { expected: 'finite logits or -inf', got: String(value) },
    );
  }
  throw new LogitcaskError('row-invalid', 'sparsify: a row of logits has no finite entry');
}
