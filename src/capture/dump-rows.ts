/** What the readers of dump files give to the source. */
import type { ListRows } from '../distribution/rows.ts';
import type { FileRows } from './file-rows.ts';

/** Rows of a dump, read forwards. */
export interface DumpRows {
  readonly count: number;
  /** V */
  readonly width: number;
  readonly reports: 'whole' | 'top-list';
  /** Bytes of one row in memory. */
  readonly rowBytes: number;
  /** Input ids and true next ids, where the dump itself holds them. */
  readonly tokens?: Int32Array;
  readonly next?: Int32Array;
  /** A cursor that starts at row `from`. */
  rows(from: number): Promise<{
    take(count: number): Promise<ListRows | FileRows>;
    close(): Promise<void>;
  }>;
  close(): Promise<void>;
}
