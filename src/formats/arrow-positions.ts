/** Where the buffers of a record batch lie in its file, so that rows are read without the batch. */
import { Message, type MessageHeader } from 'apache-arrow';
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
  const message = Message.decode(bytes.subarray(8)) as Message<MessageHeader.RecordBatch>;
  const header = message.header();
  const { buffers } = header;
  const all = Object.values(types).flatMap(slots);
  if (buffers === undefined || buffers.length !== all.length) {
    throw new LogitcaskError('index-damaged', 'shard: a record batch does not have our columns', {
      expected: `${all.length} buffers`,
      got: `${buffers?.length} buffers`,
    });
  }
  const body = offset + bytes.byteLength;
  let at = 0;
  const columns = Object.entries(types).map(([name, type]) => {
    const own = slots(type).flatMap((keep) => {
      const region = buffers[at++];
      return keep ? [{ offset: body + region.offset, bytes: region.length }] : [];
    });
    return [name, own] as const;
  });
  return { rows: header.length, columns: Object.fromEntries(columns) };
}
