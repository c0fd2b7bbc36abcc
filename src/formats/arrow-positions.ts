/**
 * Where the buffers of a record batch lie in its file, so that rows are read without the batch.
 */
import { LogitcaskError } from '../errors.ts';
import type { ColumnTypes } from './arrow.ts';
import { readLong, readTable, readVector } from './arrow-flatbuffer.ts';
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
export function slotsOf(type: ColumnType): boolean[] {
  switch (type.type) {
    case 'utf8':
    case 'binary':
      return [false, true, true];
    case 'list':
      return [false, true, ...slotsOf(type.item)];
    case 'fixed_list':
      return [false, ...slotsOf(type.item)];
    case 'struct':
      return [false, ...Object.values(type.members).flatMap(slotsOf)];
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
  const all = Object.values(types).flatMap(slotsOf);
  const { rows, regions } = readBuffers(bytes, all.length);
  const body = offset + bytes.byteLength;
  let at = 0;
  const columns = Object.entries(types).map(([name, type]) => {
    const own = slotsOf(type).flatMap((keep) => {
      const region = regions[at++];
      return keep ? [{ offset: body + region.offset, bytes: region.bytes }] : [];
    });
    return [name, own] as const;
  });
  return { rows, columns: Object.fromEntries(columns) };
}

const recordBatchHeader = 3;

/** Rows and buffers of a RecordBatch message, Arrow's Message.fbs. */
function readBuffers(bytes: Uint8Array, count: number) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    const message = readTable(view, 8);
    const header = message(1);
    if (header === undefined || view.getUint8(header) !== recordBatchHeader) {
      throw damaged('another message');
    }
    const batch = readTable(view, message(2));
    const length = batch(0);
    const found = readVector(view, batch(2), 16);
    if (found.length !== count) throw damaged(`${found.length} buffers, not ${count}`);
    const regions = found.map((at) => ({
      offset: readLong(view, at),
      bytes: readLong(view, at + 8),
    }));
    return { rows: length === undefined ? 0 : readLong(view, length), regions };
  } catch (error) {
    if (error instanceof RangeError) throw damaged(error.message);
    throw error;
  }
}

function damaged(got: string): LogitcaskError {
  const message = `shard: a record batch does not have the buffers of our columns (${got})`;
  return new LogitcaskError('index-damaged', message, { expected: 'our columns', got });
}
