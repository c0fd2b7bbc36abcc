/** What a teacher gives: whole rows of logits, or lists of its top log-probs. Typed arrays only. */

/**
 * Float formats in which logits arrive; f16 and bf16 stay as their 16 bits until a kernel reads
 * them.
 */
export type FloatType = 'f32' | 'f16' | 'bf16';

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

/** Row i alone; its values are views. */
export function oneRow<R extends Rows>(rows: R, i: number): R {
  if (rows.form === 'dense') {
    const values = rows.values.subarray(i * rows.width, (i + 1) * rows.width);
    return { ...rows, count: 1, values };
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
