/**
 * Top-k with an exact log-sum-exp, plain TypeScript: the reference that any faster kernel must
 * equal.
 */

import type { FloatType } from '../distribution/rows.ts';
import { LogitcaskError } from '../errors.ts';
import { floatOfHalf } from '../formats/float16.ts';

export interface TopKKernel {
  /**
   * Entries of the last row, value descending, id ascending on ties; the first `count` are valid.
   */
  readonly ids: Uint32Array;
  /** Their log-probs: value − lse. */
  readonly logprobs: Float64Array;
  /** log Σ exp(logp / T) of the last row, one a temperature. */
  readonly logZ: Float64Array;
  /** log Σ exp(value) of the last row. */
  readonly lse: number;
  /**
   * Runs over one row of `width` values that starts at index `start`; returns the number of
   * entries: K, or fewer where fewer are finite. Throws `row-invalid` on NaN, +inf and rows without
   * a finite value.
   */
  run(values: Float32Array | Uint16Array, start: number): number;
  /** Mass outside the entries of the last row; 0 only where nothing lies outside. */
  rest(): number;
  /** Log-prob of one id in the last row. */
  logprob(id: number): number;
}

export interface TopKOptions {
  readonly k: number;
  readonly width: number;
  readonly type: FloatType;
  readonly temperatures: readonly number[];
}

/** Values sampled for the threshold: 1,024, fewer where sorting them would outweigh the row. */
const sampleMax = 1024;
const strideMin = 32;
/** Below this, 1 − Σ p has lost too many digits: the mass outside is summed by itself. */
const restCancelled = 1e-6;

export function createTopK(options: TopKOptions): TopKKernel {
  const { width, type, temperatures } = options;
  const k = Math.min(options.k, width);
  const row = new Float32Array(width);
  const ids = new Uint32Array(k);
  const logprobs = new Float64Array(k);
  const logZ = new Float64Array(temperatures.length);
  const select = createSelect(k, width);
  let kept = 0;
  let max = 0;
  let logSum = 0; // lse − max: differences stay exact where the row carries a large constant
  return {
    ids,
    logprobs,
    logZ,
    get lse() {
      return max + logSum;
    },
    run(values, start) {
      max = load(row, values, { start, type });
      logSum = Math.log(sumExp(row, max, 1));
      for (let i = 0; i < temperatures.length; i++) {
        const t = temperatures[i];
        logZ[i] = Math.log(sumExp(row, max, 1 / t)) - logSum / t;
      }
      kept = select(row, ids);
      for (let i = 0; i < kept; i++) logprobs[i] = row[ids[i]] - max - logSum;
      return kept;
    },
    rest() {
      let mass = 0;
      for (let i = 0; i < kept; i++) mass += Math.exp(logprobs[i]);
      if (1 - mass > restCancelled) return 1 - mass;
      const last = ids[kept - 1];
      let outside = 0;
      for (let id = 0; id < width; id++) {
        const behind = row[id] < row[last] || (row[id] === row[last] && id > last);
        if (behind) outside += Math.exp(row[id] - max - logSum);
      }
      return outside;
    },
    logprob: (id) => row[id] - max - logSum,
  };
}

/** Widens a row to float32 and returns its maximum. */
function load(
  row: Float32Array,
  values: Float32Array | Uint16Array,
  { start, type }: { start: number; type: FloatType },
): number {
  if (type === 'f32') row.set(values.subarray(start, start + row.length) as Float32Array);
  else if (type === 'f16') {
    for (let i = 0; i < row.length; i++) row[i] = floatOfHalf[values[start + i]];
  } else {
    const bits = new Uint32Array(row.buffer, row.byteOffset, row.length);
    for (let i = 0; i < row.length; i++) bits[i] = values[start + i] << 16;
  }
  let max = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < row.length; i++) {
    const x = row[i];
    if (!(x < Number.POSITIVE_INFINITY)) refuse(x, i); // NaN fails every comparison
    if (x > max) max = x;
  }
  if (max === Number.NEGATIVE_INFINITY) {
    throw new LogitcaskError('row-invalid', 'sparsify: a row of logits has no finite entry');
  }
  return max;
}

function refuse(value: number, id: number): never {
  throw new LogitcaskError('row-invalid', `sparsify: a row of logits holds ${value} at id ${id}`, {
    expected: 'finite logits or -inf',
    got: String(value),
  });
}

/** 2^−j for every j that a double can hold. */
const powers = Float64Array.from({ length: 1075 }, (_, j) => 2 ** -j);
/** Taylor coefficients of 2^(g − 0.5) around g = 0: relative error below 2.1e-10 for |g| ≤ 0.5. */
const coefficients = Array.from({ length: 9 }, (_, n) => {
  let factorial = 1;
  for (let i = 2; i <= n; i++) factorial *= i;
  return (Math.SQRT1_2 * Math.LN2 ** n) / factorial;
});

/**
 * Σ exp((x − max)·scale), four times as fast as Math.exp: 2^t as a polynomial and a power of two.
 */
function sumExp(row: Float32Array, max: number, scale: number): number {
  const [c0, c1, c2, c3, c4, c5, c6, c7, c8] = coefficients;
  const factor = scale * Math.LOG2E;
  let sum = 0;
  for (let i = 0; i < row.length; i++) {
    const t = (row[i] - max) * factor; // ≤ 0
    if (!(t > -1074)) continue; // −inf, or too small for a double
    const whole = t | 0;
    const g = t - whole + 0.5;
    const high = c4 + g * (c5 + g * (c6 + g * (c7 + g * c8)));
    sum += (c0 + g * (c1 + g * (c2 + g * (c3 + g * high)))) * powers[-whole];
  }
  return sum;
}

/**
 * Selection: a threshold guessed from a sample lets few values through, and only those are sorted,
 * as 64-bit keys (float bits in order-preserving form, then ~id).
 */
function createSelect(k: number, width: number) {
  const keys = new BigUint64Array(width);
  const words = new Uint32Array(keys.buffer); // little-endian: low word first
  const bits = new Uint32Array(1);
  const float = new Float32Array(bits.buffer);
  const stride = Math.max(strideMin, Math.floor(width / sampleMax));
  const sample = new Float32Array(Math.ceil(width / stride));

  const collect = (row: Float32Array, threshold: number): number => {
    let count = 0;
    for (let id = 0; id < width; id++) {
      const x = row[id];
      if (x < threshold || x === Number.NEGATIVE_INFINITY) continue;
      float[0] = x + 0; // −0 and 0 are equal values
      words[2 * count] = ~id;
      words[2 * count + 1] = bits[0] & 0x80000000 ? ~bits[0] : bits[0] | 0x80000000;
      count++;
    }
    return count;
  };

  return (row: Float32Array, ids: Uint32Array): number => {
    let count = 0;
    if (k * 4 < width) {
      for (let i = 0, id = 0; id < width; i++, id += stride) sample[i] = row[id];
      sample.sort();
      const expected = (k * sample.length) / width;
      let rank = Math.ceil(expected + 3 * Math.sqrt(expected) + 2);
      while (count < k && rank < sample.length) {
        count = collect(row, sample[sample.length - rank]);
        rank *= 4;
      }
    }
    if (count < k) count = collect(row, Number.NEGATIVE_INFINITY);
    keys.subarray(0, count).sort();
    const kept = Math.min(k, count);
    for (let i = 0; i < kept; i++) ids[i] = ~words[2 * (count - 1 - i)];
    return kept;
  };
}
