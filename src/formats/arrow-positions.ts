/**
 * Where the buffers of a record batch lie in its file, so that rows are read without the batch. The
 * FlatBuffer is walked here: apache-arrow believes any length, and one flipped bit fills the
 * memory.
 */
import { LogitcaskError } from '../errors.ts';
import type { ColumnTypes } from './arrow.ts';
import type { ColumnType } from './layout.ts';

export interface BufferPosition {
  /** Offset in the file. */
  readonly offset: number;
  readonly bytes: number;
}

export interface BatchPositions {
  readonly rows: number;
  /** Positions of each column's buffers, in our order (no validity bitmaps). */
  readonly columns: Readonly<Record<string, readonly BufferPosition[]>>;
}

/** Arrow's buffers of a column in order; false: a validity bitmap, which we never write. */
function slots(type: ColumnType): boolean[] {
  switch (type.type) {
    case 'utf8':
    case 'binary':
      return [false, true, true];
    case 'list':
      return [false, true, ...slots(type.item)];
    case 'fixed_list':
      return [false, ...slots(type.item)];
    case 'struct':
      return [false, ...Object.values(type.members).flatMap(slots)];
    default:
      return [false, true];
  }
}

/**
 * Reads a message's metadata (`bytes`, with its 8-byte prefix, found at `offset` of the file).
 * Throws `index-damaged` where it does not fit the columns.
 */
export function batchPositions(
  bytes: Uint8Array,
  offset: number,
  types: ColumnTypes,
): BatchPositions {
  const all = Object.values(types).flatMap(slots);
  const { rows, regions } = readMessage(bytes, all.length);
  const body = offset + bytes.byteLength;
  let at = 0;
  const columns = Object.entries(types).map(([name, type]) => {
    const own = slots(type).flatMap((keep) => {
      const region = regions[at++];
      return keep ? [{ offset: body + region.offset, bytes: region.bytes }] : [];
    });
    return [name, own] as const;
  });
  return { rows, columns: Object.fromEntries(columns) };
}

const recordBatchHeader = 3;

/** Rows and buffers of a RecordBatch message, Arrow's Message.fbs. */
function readMessage(bytes: Uint8Array, count: number) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    const message = readTable(view, 8);
    const header = message(1);
    if (header === undefined || view.getUint8(header) !== recordBatchHeader) {
      throw damaged('another message');
    }
    const batch = readTable(view, message(2));
    const length = batch(0);
    const field = batch(2);
    if (field === undefined) throw damaged('no buffers');
    const vector = field + view.getUint32(field, true);
    const found = view.getUint32(vector, true);
    if (found !== count) throw damaged(`${found} buffers, not ${count}`);
    const regions = Array.from({ length: count }, (_, i) => ({
      offset: unsigned(view, vector + 4 + 16 * i),
      bytes: unsigned(view, vector + 12 + 16 * i),
    }));
    return { rows: length === undefined ? 0 : unsigned(view, length), regions };
  } catch (error) {
    if (error instanceof RangeError) throw damaged(error.message);
    throw error;
  }
}

/** Where the fields of a FlatBuffer table lie; undefined where one has its default. */
function readTable(view: DataView, at: number | undefined) {
  if (at === undefined) throw damaged('a table is missing');
  const start = at + view.getUint32(at, true);
  const fields = start - view.getInt32(start, true);
  const end = view.getUint16(fields, true);
  return (field: number): number | undefined => {
    const slot = 4 + 2 * field;
    const relative = slot < end ? view.getUint16(fields + slot, true) : 0;
    return relative === 0 ? undefined : start + relative;
  };
}

function unsigned(view: DataView, at: number): number {
  const value = Number(view.getBigInt64(at, true));
  if (value >= 0 && value <= Number.MAX_SAFE_INTEGER) return value;
  throw damaged(`a length or offset of ${value}`);
}

function damaged(got: string): LogitcaskError {
  const message = `shard: a record batch does not have the buffers of our columns (${got})`;
  return new LogitcaskError('index-damaged', message, { expected: 'our columns', got });
}
