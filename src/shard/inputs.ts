/** The input side of vision rows, in shards and batches: how it lies there, and its sample ids. */
import type { InputField, Manifest } from '../../schemas/manifest.ts';
import { decodeInputs, encodeInputs, fieldBytes } from '../encode/input-frame.ts';
import { LogitcaskError } from '../errors.ts';
import type { Columns, ColumnTypes } from '../formats/arrow.ts';
import { type Column, int32Of, list, listCell, primitive, unpackBits } from '../formats/layout.ts';
import type { VisionInputs } from './sample-id.ts';

/** The column of all position inputs together. */
export const inputFrame = 'input_frame';

type Kept = Pick<Manifest, 'input_fields'> & Partial<Pick<Manifest, 'features'>>;

/** Position inputs as stored: a frame in Arrow, in Parquet the columns that others can read. */
export function fieldTypes({ input_fields = [], features = [] }: Kept): ColumnTypes {
  return features.includes('parquet')
    ? fieldLists(input_fields)
    : { [inputFrame]: { type: 'binary' } };
}

export function fieldLists(fields: readonly InputField[]): ColumnTypes {
  return Object.fromEntries(fields.map(({ name, type }) => [name, list(primitive(type))]));
}

/** Position inputs of one sample of n positions as the cells of its columns. */
export function fieldCells(kept: Kept, values: readonly Uint8Array[], n: number): Columns {
  const { input_fields: fields = [] } = kept;
  if (fieldTypes(kept)[inputFrame] !== undefined) {
    const frame = encodeInputs(fields, values, n);
    return { [inputFrame]: listCell(frame, frame.length) };
  }
  const cells = fields.map(({ name, items }, i) => [name, listCell(values[i], n * items)]);
  return Object.fromEntries(cells);
}

/**
 * The inputs of a row, from its frame or its columns; layout `dense` pads its rows to `length`.
 * Throws `frame-damaged`.
 */
export function visionInputs(
  { columns, fields }: { columns: Columns; fields: readonly InputField[] },
  row: number,
  padded?: { readonly length: number; readonly positions: number },
): VisionInputs {
  const mask = maskOf(columns.mask, row, padded);
  const inputRef = Buffer.from(cellOf(columns.input_ref, row, 1)).toString();
  const frame = columns[inputFrame];
  if (frame !== undefined) {
    return { inputRef, mask, values: decodeInputs(cellOf(frame, row, 1), fields, mask.length) };
  }
  const values = fields.map((field) => {
    const width = fieldBytes(field);
    const cell =
      padded === undefined
        ? cellOf(columns[field.name], row, width / field.items)
        : columns[field.name].buffers[0].subarray(row * padded.length * width);
    const bytes = mask.length * width;
    if (padded === undefined ? cell.length === bytes : cell.length >= bytes) {
      return cell.subarray(0, bytes);
    }
    const message = `shard: column ${field.name} has other lengths than its samples`;
    throw new LogitcaskError('frame-damaged', message, { expected: bytes, got: cell.length });
  });
  return { inputRef, mask, values };
}

function maskOf(
  { buffers }: Column,
  row: number,
  padded?: { readonly length: number; readonly positions: number },
): Uint8Array {
  if (padded !== undefined) {
    const from = row * padded.length;
    return unpackBits(buffers[0], from + padded.positions).subarray(from);
  }
  const [from, to] = int32Of(buffers[0]).subarray(row, row + 2);
  return unpackBits(buffers[1], to).subarray(from);
}

/** Bytes of one row; `width` is the bytes of an item. */
function cellOf({ buffers: [offsets, data] }: Column, row: number, width: number): Uint8Array {
  const [from, to] = int32Of(offsets).subarray(row, row + 2);
  return data.subarray(from * width, to * width);
}
