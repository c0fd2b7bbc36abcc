/** Cells of a pushed body: lists of its columns, and a target set's lists at the positions. */
import type { ListRows } from '../distribution/rows.ts';
import type { Columns } from '../formats/arrow.ts';
import { type Column, int32Of } from '../formats/layout.ts';
import { invalidBody } from '../serve/request-body.ts';

/** Most positions of a sample. */
export const positionsMax = 2 ** 20;

/** Lists of a column: ends of the rows, and the values of all of them. */
export interface Lists<T> {
  readonly ends: Int32Array;
  readonly values: T;
}

export function listsOf<T>(
  { buffers }: Column,
  values: (bytes: Uint8Array, count: number) => T,
): Lists<T> {
  const ends = int32Of(buffers[0]);
  return { ends, values: values(buffers[1], ends[ends.length - 1]) };
}

export const uint32Of = (bytes: Uint8Array) => new Uint32Array(new Uint8Array(bytes).buffer);
export const float32Of = (bytes: Uint8Array) => new Float32Array(new Uint8Array(bytes).buffer);

/** The list of one row, as a copy. */
export function cellOf<T extends Uint8Array | Int32Array | Uint32Array | Float32Array>(
  { ends, values }: Lists<T>,
  row: number,
): T {
  return values.slice(ends[row], ends[row + 1]) as T;
}

export const lengthOf = ({ ends }: Lists<unknown>, row: number): number =>
  ends[row + 1] - ends[row];

/** The lists of one target set. */
export interface TargetCells {
  readonly counts: Lists<Uint32Array>;
  readonly ids: Lists<Uint32Array>;
  readonly logprobs: Lists<Float32Array>;
  readonly rest: Lists<Float32Array> | undefined;
}

export function targetCells(batch: Columns, set: string): TargetCells {
  const rest = batch[`${set}_rest`];
  return {
    counts: listsOf(batch[`${set}_counts`], uint32Of),
    ids: listsOf(batch[`${set}_ids`], uint32Of),
    logprobs: listsOf(batch[`${set}_logprobs`], float32Of),
    rest: rest && listsOf(rest, float32Of),
  };
}

/** One sample's lists of `count` positions, not looked at yet. Throws `request-invalid`. */
export function listRows(
  cells: TargetCells,
  row: number,
  { count, width, place }: { count: number; width: number; place: string },
): ListRows {
  const counts = cellOf(cells.counts, row);
  const entries = counts.reduce((sum, entries) => sum + entries, 0); // in float64: cannot wrap
  checkLengths(place, {
    counts: [counts.length, count],
    ids: [lengthOf(cells.ids, row), entries],
    logprobs: [lengthOf(cells.logprobs, row), entries],
    rest: [cells.rest === undefined ? count : lengthOf(cells.rest, row), count],
  });
  const offsets = new Uint32Array(count + 1);
  for (let t = 0; t < count; t++) offsets[t + 1] = offsets[t] + counts[t];
  return {
    form: 'lists',
    count,
    width,
    offsets,
    ids: cellOf(cells.ids, row),
    logprobs: cellOf(cells.logprobs, row),
    tail: cells.rest && cellOf(cells.rest, row),
  };
}

/** `[got, expected]` by name of the column. Throws `request-invalid`. */
export function checkLengths(place: string, lengths: Record<string, [number, number]>): void {
  for (const [name, [got, expected]] of Object.entries(lengths)) {
    if (got !== expected) throw invalidBody(`${place} has ${got} values of ${name}`, expected, got);
  }
}
