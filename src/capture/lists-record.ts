/** Records of files: JSON lines or rows of Parquet and Arrow, cells as numbers in any case. */
import { LogitcaskError } from '../errors.ts';
import { openArrowRows } from '../formats/arrow-rows.ts';
import { firstBytes, type ReadMeter, readJsonLines } from '../formats/jsonl.ts';
import type { Nested } from '../formats/nested.ts';
import { openParquetRows } from '../formats/parquet-rows.ts';
import type { RowsFile } from '../formats/rows-file.ts';

export interface ListRecord {
  /** For errors: `line 7 of lists.jsonl`. */
  readonly place: string;
  /** Place among the files, from 0. */
  readonly file: number;
  /** Place in its file, from 0. */
  readonly row: number;
  readonly cells: Readonly<Record<string, unknown>>;
}

/** Keys of the first record, or names of the columns. Throws `source-unreadable`. */
export async function keysOf(file: string): Promise<readonly string[]> {
  const rows = await openRows(file);
  if (rows !== undefined) {
    await rows.close();
    return rows.columns;
  }
  for await (const { cells } of recordsOf(file, { file: 0, keys: [] })) return Object.keys(cells);
  throw new LogitcaskError('source-mismatch', `capture: ${file} holds no records; leave it out`);
}

/** The records of one file, with those of `keys` that it has. */
export async function* recordsOf(
  name: string,
  { file, keys, meter }: { file: number; keys: readonly string[]; meter?: ReadMeter },
): AsyncGenerator<ListRecord> {
  let row = 0;
  const rows = await openRows(name);
  if (rows !== undefined) {
    try {
      const columns = rows.columns.filter((column) => keys.includes(column));
      for await (const cells of rows.rows(columns, meter)) {
        yield { place: `row ${row} of ${name}`, file, row: row++, cells };
      }
    } finally {
      await rows.close();
    }
    return;
  }
  for await (const { line, value } of readJsonLines(name, meter)) {
    const place = `line ${line} of ${name}`;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw mismatch(place, 'an object of keys and values', typeof value);
    }
    yield { place, file, row: row++, cells: value as Record<string, unknown> };
  }
}

/** Files of columns by their first four bytes: Parquet, an Arrow file, an Arrow stream. */
const openers: Readonly<Record<string, (name: string) => Promise<RowsFile>>> = {
  PAR1: openParquetRows,
  ARRO: openArrowRows,
  '\xff\xff\xff\xff': openArrowRows,
};

async function openerOf(name: string) {
  return openers[(await firstBytes(name, 4)).toString('latin1')];
}

/** Undefined for files that hold no columns. */
async function openRows(name: string): Promise<RowsFile | undefined> {
  return (await openerOf(name))?.(name);
}

export async function holdsColumns(name: string): Promise<boolean> {
  return (await openerOf(name)) !== undefined;
}

export function mismatch(place: string, expected: string, got: unknown): LogitcaskError {
  const message = `capture: ${place} holds ${got}, expected ${expected}; see docs/import.md`;
  return new LogitcaskError('source-mismatch', message, { expected, got: String(got) });
}

/** A list of numbers under a key; undefined where there is none. */
export function numbersAt({ cells, place }: ListRecord, key: string): Float64Array | undefined {
  const cell = cells[key];
  if (cell === undefined || cell === null) return undefined;
  if (cell instanceof Float64Array) return cell;
  if (!Array.isArray(cell)) throw mismatch(place, `a list of numbers as ${key}`, typeof cell);
  return Float64Array.from(cell, (value) => numberOf(value, { place, key }));
}

/** Lists of numbers under a key, a missing one as an empty one; undefined where there are none. */
export function nestedAt({ cells, place }: ListRecord, key: string): Nested | undefined {
  const cell = cells[key];
  if (cell === undefined || cell === null) return undefined;
  const isNested = typeof cell === 'object' && 'offsets' in cell;
  if (isNested) return cell as Nested; // of columns
  if (!Array.isArray(cell)) throw mismatch(place, `lists of numbers as ${key}`, typeof cell);
  const lists = cell.map((list: unknown) => list ?? []);
  const offsets = new Uint32Array(lists.length + 1);
  for (const [i, list] of lists.entries()) {
    if (!Array.isArray(list)) throw mismatch(place, `lists of numbers as ${key}`, typeof list);
    offsets[i + 1] = offsets[i] + list.length;
  }
  const values = new Float64Array(offsets[lists.length]);
  let at = 0;
  for (const list of lists as unknown[][]) {
    for (const value of list) values[at++] = numberOf(value, { place, key });
  }
  return { values, offsets };
}

const names = ['NaN', 'Infinity', '-Infinity'];

/** Flags are 0 and 1, what is not there is NaN. */
export function numberOf(value: unknown, at: { place: string; key: string }): number {
  if (typeof value === 'number') return value;
  if (value === null || value === undefined) return Number.NaN;
  if (typeof value === 'boolean' || names.includes(value as string)) return Number(value);
  throw mismatch(at.place, `numbers as ${at.key}`, JSON.stringify(value)?.slice(0, 40));
}
