/** Rows of foreign files of columns: what readers of Parquet and Arrow give of them. */
import type { ReadMeter } from './jsonl.ts';
import type { Nested } from './nested.ts';

/**
 * A cell: a number (flags are 0 and 1), a text, a list of one of them, or lists of numbers. Where
 * there is none: null, NaN inside of lists.
 */
export type RowCell = number | string | null | Float64Array | readonly string[] | Nested;

export interface RowsFile {
  /** Names of the columns; of those with parts of their own the parts' as well: `a.b`. */
  readonly columns: readonly string[];
  /** The rows in order; throws `source-unreadable`. */
  rows(
    columns: readonly string[],
    meter?: ReadMeter,
  ): AsyncGenerator<Readonly<Record<string, RowCell>>>;
  close(): Promise<void>;
}
