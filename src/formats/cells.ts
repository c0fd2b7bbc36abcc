/** Cells of stored list columns, as views. */
import { type Column, type ColumnType, fixedWidth, int32Of } from './layout.ts';

/** Bytes of an item in a cell: of a list's items, 1 for text and binary. */
export function itemBytes(type: ColumnType): number {
  return type.type === 'list' ? (fixedWidth(type.item) ?? 1) : 1;
}

/** Bytes of each row's cell; `width` is the bytes of an item. */
export function cellsOf(column: Column, width: number): Uint8Array[] {
  const offsets = int32Of(column.buffers[0]);
  return Array.from({ length: column.rows }, (_, row) =>
    column.buffers[1].subarray(offsets[row] * width, offsets[row + 1] * width),
  );
}

/** Number of items of each row. */
export function lengthsOf(column: Column): number[] {
  const offsets = int32Of(column.buffers[0]);
  return Array.from({ length: column.rows }, (_, row) => offsets[row + 1] - offsets[row]);
}

/** Texts of a utf8 column. */
export function textsOf(column: Column): string[] {
  return cellsOf(column, 1).map((cell) =>
    Buffer.from(cell.buffer, cell.byteOffset, cell.byteLength).toString(),
  );
}
