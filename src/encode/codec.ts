/**
 * A codec turns the targets of one sample into the cells of its columns and back. One codec a file.
 */
import type { DecodedTargets, TargetKind, Targets } from '../distribution/targets.ts';
import type { ColumnType } from '../formats/layout.ts';

/** One cell: the flat values of one row in one column, in the column's own width. */
export type Cell = Uint8Array | Uint16Array | Uint32Array | Float32Array;

export interface CodecOptions {
  readonly kind: TargetKind;
  /** V, the size of the label space: ids beyond it are refused. */
  readonly width: number;
}

export interface Codec {
  readonly name: string;
  /** What the manifest records, e.g. { step: 0.003, compression: 'zstd' }. */
  readonly parameters: Readonly<Record<string, number | string>>;
  /** Columns after the target set's name and `_`: `frame` → `teacher_frame`. */
  readonly columns: Readonly<Record<string, ColumnType>>;
  /** Cells in the order of `columns`. */
  encode(targets: Targets): Cell[];
  /**
   * Cells in the order of `columns`; `count` is the sample's number of positions. Throws
   * `frame-damaged` rather than give a wrong row.
   */
  decode(cells: readonly Uint8Array[], count: number): DecodedTargets;
  /**
   * The same without a copy: what it gives holds until the next call for the same slot, 0, 1, …;
   * each slot keeps memory.
   */
  decodeLent?(
    cells: readonly Uint8Array[],
    sample: { readonly count: number; readonly slot: number },
  ): DecodedTargets;
}
