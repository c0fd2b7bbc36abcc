/** A wire layout: how the rows of a batch become columns. One layout a file. */
import type { BatchRequest, LayoutName } from '../../../schemas/batch.ts';
import type { Manifest, TargetSet } from '../../../schemas/manifest.ts';
import type { Columns, ColumnTypes } from '../../formats/arrow.ts';

export interface LayoutInput {
  readonly manifest: Manifest;
  readonly sets: readonly TargetSet[];
  /** Rows of the batch. */
  readonly rows: number;
  /** Every column of the shards that `reads` named, one row a sample. */
  readonly stored: Columns;
  readonly types: ColumnTypes;
  readonly request: BatchRequest;
  /** Names a row in errors. */
  readonly describe: (row: number) => string;
}

export interface LayoutOutput {
  readonly types: ColumnTypes;
  readonly columns: Columns;
  /** False where a temperature had to be approximated. */
  readonly temperatureExact: boolean;
}

export interface Layout {
  readonly name: LayoutName;
  /** At most this many target sets in one batch. */
  readonly setsMax: number;
  /** Whether it can send a set of this codec. */
  accepts(set: TargetSet): boolean;
  /** Columns beside `sample_id`, `pad` and `meta`, which the batch adds. */
  build(input: LayoutInput): LayoutOutput;
}
