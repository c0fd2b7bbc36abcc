/** A wire layout: what a request makes of one sample, whatever batch it is sent in. */
import type { BatchRequest, LayoutName } from '../../../schemas/batch.ts';
import type { Manifest, TargetSet } from '../../../schemas/manifest.ts';
import type { ColumnType } from '../../formats/layout.ts';

/** A column of the wire whose cells are single runs of bytes. */
export interface CellColumn {
  readonly name: string;
  /** What a cell counts: one value, one a position, or one an entry of the column `counts`. */
  readonly per: 'sample' | 'position' | 'entry';
  /** Type of an item of a cell; of the cell where there is one a sample. */
  readonly type: ColumnType;
  /** Items a position, 1 by default. */
  readonly items?: number;
  readonly counts?: string;
  /** Dense: the bytes of a padded position. */
  readonly fill?: Uint8Array;
}

/** Ids of the teacher that the student's vocabulary does not have, and their mass. */
export interface Dropped {
  readonly entries: number;
  /** Summed over the positions. */
  readonly mass: number;
}

/** A sample ready to be sent: its cells in the order of the view's columns. */
export interface ReadySample {
  readonly positions: number;
  readonly cells: readonly Uint8Array[];
  readonly dropped?: Dropped;
}

/** One sample as it is stored. */
export interface StoredSample {
  readonly positions: number;
  /** Bytes of its cell in a stored column; packed bits from bit 0 on. */
  cell(name: string): Uint8Array;
}

/** What one request asks of every sample. */
export interface View {
  /** Equal keys give equal cells of the same snapshot. */
  readonly key: string;
  /** Stored columns that it needs. */
  readonly reads: readonly string[];
  readonly columns: readonly CellColumn[];
  /** Positions are padded to the same number. */
  readonly dense: boolean;
  /** Dense: false where the temperature asked for is approximated. Others send what is stored. */
  readonly temperatureExact?: boolean;
  /** Throws `frame-damaged`. */
  ready(sample: StoredSample): ReadySample;
}

export interface ViewOptions {
  readonly manifest: Pick<Manifest, 'kind' | 'label_space' | 'input_fields'>;
  /** Columns of the shards. */
  readonly stored: Readonly<Record<string, ColumnType>>;
  readonly sets: readonly TargetSet[];
  readonly request: BatchRequest;
}

export interface Layout {
  readonly name: LayoutName;
  /** At most this many target sets in one batch. */
  readonly setsMax: number;
  /** Whether its bytes are compressed as they are stored: they are never compressed again. */
  readonly compressed: boolean;
  /** Whether it can send a set of this codec. */
  accepts(set: TargetSet): boolean;
  view(options: ViewOptions): View;
}

/** Of every sample: which it is, and which of its positions are learned. */
export const sampleColumns: readonly CellColumn[] = [
  { name: 'sample_id', per: 'sample', type: { type: 'fixed_binary', size: 16 } },
  { name: 'meta', per: 'sample', type: { type: 'utf8' } },
];
export const mask: CellColumn = { name: 'mask', per: 'position', type: { type: 'bool' } };

/** Columns that a target set has beside its codec's. */
export function scoreColumns({ name, label_logprob, log_z }: TargetSet): CellColumn[] {
  const columns: CellColumn[] = [];
  if (label_logprob) {
    columns.push({ name: `${name}_label_logprob`, per: 'position', type: { type: 'float16' } });
  }
  if (log_z.length > 0) {
    const items = log_z.length;
    columns.push({ name: `${name}_log_z`, per: 'position', items, type: { type: 'float32' } });
  }
  return columns;
}
