/** Reads streams of our columns, every length checked against the bytes that are there. */
import { LogitcaskError } from '../errors.ts';
import type { Columns, ColumnTypes, DecodedStream } from './arrow.ts';
import { readLong, readTable, readText, readVector, type Table } from './arrow-flatbuffer.ts';
import { slotsOf } from './arrow-positions.ts';
import { type ColumnType, fixedWidth, int32Of } from './layout.ts';

/** One message of a stream. */
export interface Message {
  readonly kind: 'schema' | 'batch';
  readonly metadata: Uint8Array;
  readonly bodyBytes: number;
}

export interface StreamSchema {
  readonly types: ColumnTypes;
  readonly metadata: Readonly<Record<string, string>>;
}

export const prefixBytes = 8;
const metadataBytesMax = 16 * 1024 * 1024;
const depthMax = 16;
/** Of a column of a foreign batch. */
const valuesMax = 2 ** 31 - 1;

/** Bytes of the metadata behind a message's prefix; 0: the end. Throws `reply-invalid`. */
export function metadataBytes(prefix: Uint8Array): number {
  return guarded(() => {
    const view = viewOf(prefix);
    const length = view.getUint32(4, true);
    if (view.getUint32(0, true) === 0xffffffff && length <= metadataBytesMax) return length;
    throw new RangeError('no message begins here');
  });
}

/** Throws `reply-invalid` on what is neither a schema nor a record batch without compression. */
export function readMessage(metadata: Uint8Array): Message {
  return guarded(() => {
    const { kind, bodyBytes } = headOf(metadata);
    if (kind === 'schema' || kind === 'batch') return { kind, metadata, bodyBytes };
    throw new RangeError('a message of another kind');
  });
}

const kinds = ['none', 'schema', 'dictionary', 'batch'] as const;

/** What any writer's message is, and the bytes of its body. Throws RangeError. */
export function headOf(metadata: Uint8Array): {
  kind: (typeof kinds)[number];
  bodyBytes: number;
} {
  const view = viewOf(metadata);
  const message = readTable(view, 0);
  const [type, body] = [message(1), message(3)];
  const kind = kinds[type === undefined ? 0 : view.getUint8(type)] ?? 'none';
  return { kind, bodyBytes: body === undefined ? 0 : readLong(view, body) };
}

/** Walks any writer's message, every count and length checked, and throws RangeError. */
export function checkMessage(metadata: Uint8Array): void {
  const { kind, bodyBytes } = headOf(metadata);
  const view = viewOf(metadata);
  const message = readTable(view, 0);
  const header = readTable(view, message(2));
  readVector(view, message(4), 4); // key-value metadata
  if (kind === 'schema') {
    checkFields(view, header(1), 0);
    readVector(view, header(2), 4);
    readVector(view, header(3), 8); // features
    return;
  }
  const batch = kind === 'dictionary' ? readTable(view, header(1)) : header;
  const at = batch(0);
  const rows = at === undefined ? 0 : readLong(view, at);
  const counts = readVector(view, batch(1), 16).map((node) => readLong(view, node));
  const wrong = [rows, ...counts].find((count) => count > valuesMax);
  if (wrong !== undefined) throw new RangeError(`${wrong} values in a message`);
  if (counts.length > 0 && counts[0] !== rows) throw new RangeError(`${rows} rows of a batch`);
  for (const at of readVector(view, batch(2), 16)) {
    if (readLong(view, at) + readLong(view, at + 8) > bodyBytes) {
      throw new RangeError('a buffer behind the end of the body');
    }
  }
}

function checkFields(view: DataView, at: number | undefined, depth: number): void {
  if (depth > depthMax) throw new RangeError('types within types without end');
  for (const item of readVector(view, at, 4)) {
    const field = readTable(view, item);
    readText(view, field(0));
    readVector(view, field(6), 4);
    checkFields(view, field(5), depth + 1);
  }
}

export function readSchema({ metadata: bytes }: Message): StreamSchema {
  return guarded(() => {
    const view = viewOf(bytes);
    const schema = readTable(view, readTable(view, 0)(2));
    const metadata = readVector(view, schema(2), 4).map((at) => {
      const pair = readTable(view, at);
      return [readText(view, pair(0)), readText(view, pair(1))];
    });
    return { types: readFields(view, schema(1), 0), metadata: Object.fromEntries(metadata) };
  });
}

export function readColumns(message: Message, body: Uint8Array, types: ColumnTypes): Columns {
  return guarded(() => {
    const view = viewOf(message.metadata);
    const batch = readTable(view, readTable(view, 0)(2));
    const length = batch(0);
    const rows = length === undefined ? 0 : readLong(view, length);
    if (batch(3) !== undefined) throw new RangeError('a compressed body');
    for (const at of readVector(view, batch(1), 16)) {
      if (readLong(view, at + 8) !== 0) throw new RangeError('nulls');
    }
    const found = readVector(view, batch(2), 16).map((at) => {
      const [offset, bytes] = [readLong(view, at), readLong(view, at + 8)];
      if (offset + bytes > body.length) throw new RangeError('a buffer behind the end of the body');
      return body.subarray(offset, offset + bytes);
    });
    const slots = Object.values(types).map(slotsOf);
    if (slots.flat().length !== found.length) throw new RangeError(`${found.length} buffers`);
    let at = 0;
    const columns = Object.entries(types).map(([name, type], i) => {
      const own = slots[i].flatMap((keep) => {
        const buffer = found[at++];
        return keep ? [buffer] : [];
      });
      return [name, { rows, buffers: takeRows(type, rows, own) }];
    });
    return Object.fromEntries(columns);
  });
}

/** A whole stream from memory. Throws `reply-invalid`. */
export function readStream(bytes: Uint8Array): DecodedStream {
  let schema: StreamSchema | undefined;
  const batches: Columns[] = [];
  for (let at = 0; at < bytes.length; ) {
    const metadata = at + prefixBytes;
    const length = metadataBytes(bytes.subarray(at, metadata));
    if (length === 0) break;
    const message = readMessage(exactly(bytes, metadata, length));
    const body = exactly(bytes, metadata + length, message.bodyBytes);
    at = metadata + length + message.bodyBytes;
    if (message.kind === 'batch' && schema !== undefined) {
      batches.push(readColumns(message, body, schema.types));
    } else if (message.kind === 'schema' && schema === undefined) schema = readSchema(message);
    else throw invalid('messages in another order');
  }
  if (schema === undefined) throw invalid('no schema');
  return { ...schema, batches };
}

function exactly(bytes: Uint8Array, at: number, length: number): Uint8Array {
  if (at + length > bytes.length) throw invalid('it ends within a message');
  return bytes.subarray(at, at + length);
}

function readFields(view: DataView, at: number | undefined, depth: number): ColumnTypes {
  if (depth > depthMax) throw new RangeError('types within types without end');
  const fields = readVector(view, at, 4).map((item) => {
    const field = readTable(view, item);
    return [readText(view, field(0)), readType(view, field, depth)];
  });
  return Object.fromEntries(fields);
}

const integers = { '8': 'uint8', '16': 'uint16', '32': 'uint32', '64': 'uint64' } as const;

/** Numbers of the union `Type` of Schema.fbs. */
function readType(view: DataView, field: Table, depth: number): ColumnType {
  const number = field(2);
  const type = readTable(view, field(3));
  const int = (at: number | undefined) => (at === undefined ? 0 : view.getInt32(at, true));
  const children = () => readFields(view, field(5), depth + 1);
  switch (number === undefined ? 0 : view.getUint8(number)) {
    case 2: {
      const signed = type(1);
      const bits = String(int(type(0))) as keyof typeof integers;
      if (signed !== undefined && view.getUint8(signed) === 1) {
        if (bits === '32') return { type: 'int32' };
      } else if (bits in integers) return { type: integers[bits] };
      break;
    }
    case 3: {
      const at = type(0);
      const precision = at === undefined ? 0 : view.getInt16(at, true);
      if (precision < 2) return { type: precision === 0 ? 'float16' : 'float32' };
      break;
    }
    case 4:
      return { type: 'binary' };
    case 5:
      return { type: 'utf8' };
    case 6:
      return { type: 'bool' };
    case 12:
      return { type: 'list', item: onlyOf(children()) };
    case 13:
      return { type: 'struct', members: children() };
    case 15:
      return { type: 'fixed_binary', size: sized(int(type(0))) };
    case 16:
      return { type: 'fixed_list', size: sized(int(type(0))), item: onlyOf(children()) };
  }
  throw new RangeError('a type that is not read here');
}

function sized(size: number): number {
  if (size >= 0) return size;
  throw new RangeError(`a size of ${size}`);
}

function onlyOf(types: ColumnTypes): ColumnType {
  const all = Object.values(types);
  if (all.length === 1) return all[0];
  throw new RangeError(`${all.length} items of a list`);
}

/** The buffers, each cut to what the rows take of it. */
function takeRows(type: ColumnType, rows: number, buffers: readonly Uint8Array[]): Uint8Array[] {
  switch (type.type) {
    case 'bool':
      return [cut(buffers[0], Math.ceil(rows / 8))];
    case 'struct': {
      const out: Uint8Array[] = [];
      for (const member of Object.values(type.members)) {
        out.push(...takeRows(member, rows, buffers.slice(out.length)));
      }
      return out;
    }
    case 'fixed_list':
      return takeRows(type.item, rows * type.size, buffers);
    case 'list':
    case 'utf8':
    case 'binary': {
      const offsets = rows === 0 ? new Uint8Array(4) : cut(buffers[0], 4 * (rows + 1));
      const items = lastOf(int32Of(offsets));
      if (type.type !== 'list') return [offsets, cut(buffers[1], items)];
      return [offsets, ...takeRows(type.item, items, buffers.slice(1))];
    }
    default:
      return [cut(buffers[0], rows * fixedWidth(type)!)];
  }
}

function lastOf(offsets: Int32Array): number {
  if (offsets[0] !== 0) throw new RangeError('offsets that do not begin at 0');
  for (let i = 1; i < offsets.length; i++) {
    if (offsets[i] < offsets[i - 1]) throw new RangeError('offsets that do not ascend');
  }
  return offsets[offsets.length - 1];
}

function cut(buffer: Uint8Array, bytes: number): Uint8Array {
  if (bytes <= buffer.length) return buffer.subarray(0, bytes);
  throw new RangeError(`${bytes} bytes of a buffer of ${buffer.length}`);
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

function guarded<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof RangeError) throw invalid(error.message);
    throw error;
  }
}

function invalid(what: string): LogitcaskError {
  const message = `arrow: the bytes are not a stream of our columns (${what})`;
  return new LogitcaskError('reply-invalid', message, { expected: 'our columns', got: what });
}
