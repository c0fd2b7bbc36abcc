/** Ready samples side by side: the columns of a record batch, as lists of their bytes. */

import { LogitcaskError } from '../errors.ts';
import type { WireColumn } from '../formats/arrow-wire.ts';
import { bytesOf, type ColumnType, copyBits, fixedWidth, list } from '../formats/layout.ts';
import type { Segments } from '../plan/open-plan.ts';
import type { CellColumn, ReadySample, View } from './layouts/layout.ts';

/** Which positions of their samples the rows hold. */
export type Spans = Pick<Segments, 'first' | 'positions'>;

export interface Rows {
  readonly samples: readonly ReadySample[];
  /** Rows are whole samples where it is absent. */
  readonly spans?: Spans;
  /** Dense: positions of each row, padded. */
  readonly length: number;
}

/** What it takes of a view to lay out columns. */
type Shape = Pick<View, 'columns' | 'dense'>;

/** Positions of a row. */
export function positionsOf({ samples, spans }: Omit<Rows, 'length'>, row: number): number {
  return spans === undefined ? samples[row].positions : spans.positions[row];
}

/** The type of a view's column on the wire. */
export function wireType(
  { dense }: Pick<View, 'dense'>,
  { per, type }: CellColumn,
  length: number,
): ColumnType {
  if (per === 'sample') return type;
  return dense ? { type: 'fixed_list', size: length, item: type } : list(type);
}

/** The view's column number `index`. */
export function wireColumn(view: Shape, index: number, rows: Rows): WireColumn {
  const column = view.columns[index];
  const cells = rows.samples.map(({ cells }) => cells[index]);
  if (column.per === 'sample') return sampleColumn(column.type, cells);
  if (column.type.type === 'bool') return bitsColumn(view, cells, rows);
  const pieces: Uint8Array[] = [];
  const width = fixedWidth(column.type)!;
  const offsets = new Int32Array(cells.length + 1);
  cells.forEach((cell, row) => {
    const piece = rows.spans === undefined ? cell : cut(view, index, { rows, row, width });
    pieces.push(piece);
    offsets[row + 1] = offsets[row] + piece.byteLength / width;
    if (view.dense) pieces.push(...filled(column.fill!, rows.length - positionsOf(rows, row)));
  });
  return { buffers: view.dense ? [pieces] : [[bytesOf(offsets)], pieces] };
}

function sampleColumn(type: ColumnType, cells: Uint8Array[]): WireColumn {
  if (type.type === 'fixed_binary') return { buffers: [cells] };
  const offsets = new Int32Array(cells.length + 1);
  cells.forEach(({ byteLength }, row) => {
    offsets[row + 1] = offsets[row] + byteLength;
  });
  return { buffers: [[bytesOf(offsets)], cells] };
}

/** The mask; what lies behind the end of a row that is cut short is not learned in it. */
function bitsColumn({ dense }: Shape, cells: readonly Uint8Array[], rows: Rows): WireColumn {
  const offsets = new Int32Array(cells.length + 1);
  cells.forEach((_, row) => {
    offsets[row + 1] = offsets[row] + (dense ? rows.length : positionsOf(rows, row));
  });
  const bits = new Uint8Array((offsets[cells.length] + 7) >> 3);
  cells.forEach((cell, row) => {
    const at = rows.spans?.first[row] ?? 0;
    const count = positionsOf(rows, row);
    copyBits({ bits, at: offsets[row] }, { bits: cell, at }, count);
    if (at + count < rows.samples[row].positions) clearBit(bits, offsets[row] + count - 1);
  });
  return { buffers: dense ? [[bits]] : [[bytesOf(offsets)], [bits]] };
}

function clearBit(bits: Uint8Array, at: number): void {
  bits[at >> 3] &= ~(1 << (at & 7));
}

/** The part of a cell that a row holds. */
function cut(
  { columns }: Shape,
  index: number,
  { rows, row, width }: { rows: Rows; row: number; width: number },
): Uint8Array {
  const { per, counts, items = 1 } = columns[index];
  const { cells, positions } = rows.samples[row];
  const from = rows.spans!.first[row];
  const to = from + rows.spans!.positions[row];
  if (to > positions) {
    const message = 'plan: a pack holds positions that its sample does not have; make it again';
    throw new LogitcaskError('conflict', message, { expected: positions, got: to });
  }
  if (per === 'position') return cells[index].subarray(from * items * width, to * items * width);
  const own = cells[columns.findIndex(({ name }) => name === counts)];
  const entries = new Uint32Array(new Uint8Array(own).buffer);
  let [first, last] = [0, 0];
  for (let t = 0; t < to; t++) {
    if (t < from) first += entries[t];
    last += entries[t];
  }
  return cells[index].subarray(first * width, last * width);
}

const fillBytes = 64 * 1024;
const fills = new WeakMap<Uint8Array, Uint8Array>();

/** `count` times the same bytes, as pieces of one that is made once. */
function filled(one: Uint8Array, count: number): Uint8Array[] {
  if (count === 0) return [];
  const size = one.byteLength;
  const block = fills.get(one) ?? repeated(one, Math.max(1, Math.floor(fillBytes / size)));
  fills.set(one, block);
  const pieces: Uint8Array[] = [];
  for (let left = count * size; left > 0; left -= block.byteLength) {
    pieces.push(block.subarray(0, Math.min(left, block.byteLength)));
  }
  return pieces;
}

function repeated(one: Uint8Array, times: number): Uint8Array {
  const block = new Uint8Array(one.byteLength * times);
  for (let at = 0; at < block.length; at += one.byteLength) block.set(one, at);
  return block;
}
