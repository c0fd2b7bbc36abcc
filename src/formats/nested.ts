/** Lists of lists of numbers, flattened: list i holds the values [offsets[i], offsets[i + 1]). */
export interface Nested {
  readonly values: Float64Array;
  /** Length of the outer list + 1; does not begin at 0 in a part of another. */
  readonly offsets: Uint32Array;
}
