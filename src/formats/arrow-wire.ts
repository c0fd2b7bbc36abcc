/**
 * Arrow streams for sending: buffers stay lists of pieces, so that nothing large is copied, and the
 * two messages are laid out here, as a library takes longer for them than the whole step may.
 */
import { RecordBatchStreamWriter } from 'apache-arrow';
import { arrowSchema, type ColumnTypes } from './arrow.ts';
import { type BodyCompression, bodyCodecs } from './arrow-compression.ts';
import { type ColumnType, int32Of } from './layout.ts';

/** A column to be sent: each of its buffers, in our order, as the pieces that make it up. */
export interface WireColumn {
  readonly buffers: readonly (readonly Uint8Array[])[];
}

export type WireColumns = Readonly<Record<string, WireColumn>>;

/** What ends a stream. */
export const streamEnd: Uint8Array = Buffer.from('ffffffff00000000', 'hex');

const slotBytes = 20;

/**
 * The schema message of streams whose metadata differ in a few short values only: encoded once with
 * room for them. A FlatBuffer's string may be shorter than the room that it has. The values are
 * given in the order of `variable`.
 */
export function schemaTemplate(
  types: ColumnTypes,
  metadata: Readonly<Record<string, string>>,
  variable: readonly string[],
): (values: readonly string[]) => Uint8Array {
  const slots = variable.map((_, i) => `~${String(i).padStart(slotBytes - 1, '~')}`);
  const all = { ...metadata, ...Object.fromEntries(variable.map((name, i) => [name, slots[i]])) };
  const writer = new RecordBatchStreamWriter();
  writer.reset(undefined, arrowSchema(types, all));
  writer.finish();
  const whole = Buffer.from(writer.toUint8Array(true));
  const template = whole.subarray(0, whole.length - streamEnd.length);
  const places = slots.map((slot) => template.indexOf(slot));
  return (values) => {
    const message = Buffer.from(template);
    values.forEach((value, i) => {
      message.writeUInt32LE(value.length, places[i] - 4);
      message.write(value.padEnd(slotBytes, '\0'), places[i], slotBytes, 'latin1');
    });
    return message;
  };
}

/** One record batch: its message, then its body, as pieces. */
export function batchPieces(
  types: ColumnTypes,
  columns: WireColumns,
  { rows, compression }: { rows: number; compression?: BodyCompression },
): Uint8Array[] {
  const layout: Layout = { nodes: [], buffers: [], pieces: [], bytes: 0, compression };
  for (const [name, type] of Object.entries(types)) {
    addColumn(layout, type, { rows, buffers: columns[name].buffers, at: 0 });
  }
  return [batchMessage(layout, rows), ...layout.pieces];
}

interface Layout {
  /** Length of each node. */
  readonly nodes: number[];
  /** Offset and length of each buffer. */
  readonly buffers: number[];
  readonly pieces: Uint8Array[];
  bytes: number;
  readonly compression: BodyCompression | undefined;
}

interface Place {
  readonly rows: number;
  readonly buffers: WireColumn['buffers'];
  readonly at: number;
}

/** Adds a column from buffer `at` on; returns the number of the buffer behind it. */
function addColumn(layout: Layout, type: ColumnType, { rows, buffers, at }: Place): number {
  layout.nodes.push(rows);
  layout.buffers.push(layout.bytes, 0); // no validity bitmap
  switch (type.type) {
    case 'utf8':
    case 'binary':
      addBuffer(layout, buffers[at]);
      addBuffer(layout, buffers[at + 1]);
      return at + 2;
    case 'list': {
      addBuffer(layout, buffers[at]);
      const [offsets] = buffers[at];
      const items = int32Of(offsets.subarray(4 * rows, 4 * rows + 4))[0];
      return addColumn(layout, type.item, { rows: items, buffers, at: at + 1 });
    }
    case 'fixed_list':
      return addColumn(layout, type.item, { rows: rows * type.size, buffers, at });
    case 'struct': {
      let next = at;
      for (const member of Object.values(type.members)) {
        next = addColumn(layout, member, { rows, buffers, at: next });
      }
      return next;
    }
    default:
      addBuffer(layout, buffers[at]);
      return at + 1;
  }
}

const padding = new Uint8Array(8);

function addBuffer(layout: Layout, plain: readonly Uint8Array[]): void {
  const { compression } = layout;
  const pieces = compression === undefined ? plain : bodyCodecs[compression].wrap(plain);
  let length = 0;
  for (const piece of pieces) {
    if (piece.byteLength === 0) continue;
    layout.pieces.push(piece);
    length += piece.byteLength;
  }
  layout.buffers.push(layout.bytes, length);
  const rest = -length & 7;
  if (rest > 0) layout.pieces.push(padding.subarray(0, rest));
  layout.bytes += length + rest;
}

/** Where things lie in the message, whose tables are always the same; vectors follow at 96. */
const at = { message: 40, batch: 64, compression: 88, nodes: 104 };

/** Message.fbs: a RecordBatch, with the prefix of an encapsulated message. */
function batchMessage({ nodes, buffers, bytes, compression }: Layout, rows: number): Uint8Array {
  const buffersAt = at.nodes + 16 * nodes.length + 8;
  const length = buffersAt + 8 * buffers.length;
  const out = new Uint8Array(8 + length);
  new DataView(out.buffer).setInt32(0, -1, true);
  new DataView(out.buffer).setInt32(4, length, true);
  const view = new DataView(out.buffer, 8);
  view.setUint32(0, at.message, true);
  // vtables: their length, the table's, then where each field lies in it
  setShorts(view, 4, [12, 20, 16, 18, 4, 8]); // version, header type, header, body length
  setShorts(view, 16, [12, 24, 8, 4, 16, compression === undefined ? 0 : 20]);
  setShorts(view, 28, [8, 8, 4, 5]); // codec, method
  view.setInt32(at.message, at.message - 4, true);
  view.setUint32(at.message + 4, at.batch - (at.message + 4), true);
  setLong(view, at.message + 8, bytes);
  view.setInt16(at.message + 16, 4, true); // version 5
  view.setUint8(at.message + 18, 3); // a record batch
  view.setInt32(at.batch, at.batch - 16, true);
  view.setUint32(at.batch + 4, at.nodes - 4 - (at.batch + 4), true);
  setLong(view, at.batch + 8, rows);
  view.setUint32(at.batch + 16, buffersAt - 4 - (at.batch + 16), true);
  view.setUint32(at.batch + 20, at.compression - (at.batch + 20), true);
  view.setInt32(at.compression, at.compression - 28, true);
  if (compression !== undefined) view.setInt8(at.compression + 4, bodyCodecs[compression].code);
  view.setUint32(at.nodes - 4, nodes.length, true);
  nodes.forEach((items, i) => {
    setLong(view, at.nodes + 16 * i, items); // and no nulls
  });
  view.setUint32(buffersAt - 4, buffers.length / 2, true);
  buffers.forEach((value, i) => {
    setLong(view, buffersAt + 8 * i, value);
  });
  return out;
}

function setShorts(view: DataView, offset: number, values: readonly number[]): void {
  values.forEach((value, i) => {
    view.setUint16(offset + 2 * i, value, true);
  });
}

function setLong(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value >>> 0, true);
  view.setUint32(offset + 4, Math.floor(value / 2 ** 32), true);
}
