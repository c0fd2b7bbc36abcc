/** A sparsifier decides which entries of a distribution are kept. One rule a file. */
import type { Rows } from '../distribution/rows.ts';
import type { TargetKind, Targets } from '../distribution/targets.ts';

export interface SparsifyContext {
  /** The actual next token of each row, −1 where there is none; length rows.count. */
  readonly labels: Int32Array;
  /** Extra temperatures for which log Z_T is kept. */
  readonly temperatures: readonly number[];
  /** First 16 bytes of the sample's content address: keys any randomness. */
  readonly sampleId: Uint8Array;
  /** Position of the first row in its sample. */
  readonly position: number;
}

export interface Sparsifier {
  readonly name: string;
  readonly kind: TargetKind;
  /** Most entries that a position can keep: K. */
  readonly entriesMax: number;
  /** What the manifest records, e.g. { k: 64 }. */
  readonly parameters: Readonly<Record<string, number>>;
  /** Throws `row-invalid` on NaN, +inf or a row without a finite entry. */
  sparsify(rows: Rows, context: SparsifyContext): Targets;
}
