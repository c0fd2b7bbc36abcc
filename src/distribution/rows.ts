/** What a teacher gives: whole rows of logits, or lists of its top log-probs. Typed arrays only. */

/**
 * Float formats in which logits arrive; f16 and bf16 stay as their 16 bits until a kernel reads
 * them.
 */
export type FloatType = 'f32' | 'f16' | 'bf16';

export const valueBytes = { f32: 4, f16: 2, bf16: 2 } as const;

/** `length` values of a type at the start of memory. */
export function valuesIn(memory: ArrayBufferLike, type: FloatType, length: number) {
  return type === 'f32' ? new Float32Array(memory, 0, length) : new Uint16Array(memory, 0, length);
}

/**
 * Whole rows: `count` × `width` logits, row-major, unnormalised (any constant may be added to a
 * row).
 */
export interface DenseRows {
  readonly form: 'dense';
  readonly count: number;
  /** V, the size of the label space. */
  readonly width: number;
  readonly type: FloatType;
  /** Length count × width. Float32Array for f32, otherwise the bits. */
  readonly values: Float32Array | Uint16Array;
}

/**
 * Top lists: `count` positions, entries flattened, value descending and id ascending on ties.
 * Log-probs are natural logs, normalised over the whole label space at temperature 1.
 */
export interface ListRows {
  readonly form: 'lists';
  readonly count: number;
  readonly width: number;
  /**
   * Length count + 1: position t holds entries [offsets[t], offsets[t+1]). An empty list: no
   * target.
   */
  readonly offsets: Uint32Array;
  readonly ids: Uint32Array;
  readonly logprobs: Float32Array;
  /** Mass outside the list, length count; absent where the source does not say (then 1 − Σ p). */
  readonly tail?: Float32Array;
  /**
   * Log-prob of the actual next token, length count, NaN where unknown. Absent: it is looked up in
   * the list, and unknown where the list does not hold it.
   */
  readonly labelLogprob?: Float32Array;
  /**
   * τ, a float32, where the entries are draws of unbiased sampling: weights, not yet on a codec's
   * levels, of which those at τ were drawn.
   */
  readonly drawn?: number;
}

export type Rows = DenseRows | ListRows;

/** The rows wanted, in their order, in memory of their own. */
export function selectRows<R extends Rows>(rows: R, wanted: readonly number[]): R;
export function selectRows(rows: Rows, wanted: readonly number[]): Rows {
  const count = wanted.length;
  if (rows.form === 'dense') {
    const { width } = rows;
    const values = rows.values.slice(0, count * width); // memory of the same type
    for (const [to, i] of wanted.entries()) {
      values.set(rows.values.subarray(i * width, (i + 1) * width), to * width);
    }
    return { ...rows, count, values };
  }
  const offsets = new Uint32Array(count + 1);
  for (const [to, i] of wanted.entries()) {
    offsets[to + 1] = offsets[to] + rows.offsets[i + 1] - rows.offsets[i];
  }
  const ids = new Uint32Array(offsets[count]);
  const logprobs = new Float32Array(offsets[count]);
  for (const [to, i] of wanted.entries()) {
    const [from, end] = [rows.offsets[i], rows.offsets[i + 1]];
    ids.set(rows.ids.subarray(from, end), offsets[to]);
    logprobs.set(rows.logprobs.subarray(from, end), offsets[to]);
  }
  const own = (floats?: Float32Array) => floats && Float32Array.from(wanted, (i) => floats[i]);
  const { tail, labelLogprob } = rows;
  const perRow = { tail: own(tail), labelLogprob: own(labelLogprob) };
  return { ...rows, count, offsets, ids, logprobs, ...perRow };
}
