/** What the readers of dump files give to the source. */
import type { Rows } from '../distribution/rows.ts';
import type { Lend } from './source.ts';

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
  /** A cursor that starts at row `from`; whole rows go into lent memory. */
  rows(
    from: number,
    lend: Lend,
  ): Promise<{ take(count: number): Promise<Rows>; close(): Promise<void> }>;
  close(): Promise<void>;
}
