/** What the readers of dump files give to the source. */
import type { Rows } from '../distribution/rows.ts';

/** Rows of a dump, read forwards. */
export interface DumpRows {
  readonly width: number;
  readonly reports: 'whole' | 'top-list';
  /** Bytes of one row in memory. */
  readonly rowBytes: number;
  readonly tokens: Int32Array;
  /** True next ids, where the dump has them. */
  readonly next: Int32Array | undefined;
  /** A cursor that starts at row `from`. */
  rows(from: number): Promise<{ take(count: number): Promise<Rows>; close(): Promise<void> }>;
  close(): Promise<void>;
}
