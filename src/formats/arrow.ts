/** Arrow IPC over our columns: schemas, streams whole in memory, files batch by batch. */
import {
  Binary,
  Bool,
  type Data,
  type DataType,
  Field,
  FixedSizeBinary,
  FixedSizeList,
  Float16,
  Float32,
  Int32,
  List,
  makeData,
  RecordBatch,
  RecordBatchFileWriter,
  RecordBatchReader,
  RecordBatchStreamWriter,
  Schema,
  Struct,
  Type,
  Uint8,
  Uint16,
  Uint32,
  Uint64,
  Utf8,
} from 'apache-arrow';
import { LogitcaskError } from '../errors.ts';
import type { FileWriter } from './file-writer.ts';
import { bufferCount, bytesOf, type Column, type ColumnType } from './layout.ts';

export type Columns = Readonly<Record<string, Column>>;
export type ColumnTypes = Readonly<Record<string, ColumnType>>;

const leaves = {
  int32: { type: () => new Int32(), array: Int32Array },
  uint8: { type: () => new Uint8(), array: Uint8Array },
  uint16: { type: () => new Uint16(), array: Uint16Array },
  uint32: { type: () => new Uint32(), array: Uint32Array },
  uint64: { type: () => new Uint64(), array: BigUint64Array },
  float16: { type: () => new Float16(), array: Uint16Array },
  float32: { type: () => new Float32(), array: Float32Array },
} as const;

function arrowType(type: ColumnType): DataType {
  switch (type.type) {
    case 'bool':
      return new Bool();
    case 'utf8':
      return new Utf8();
    case 'binary':
      return new Binary();
    case 'fixed_binary':
      return new FixedSizeBinary(type.size);
    case 'list':
      return new List(new Field('item', arrowType(type.item), false));
    case 'fixed_list':
      return new FixedSizeList(type.size, new Field('item', arrowType(type.item), false));
    case 'struct':
      return new Struct(fieldsOf(type.members));
    default:
      return leaves[type.type].type();
  }
}

function fieldsOf(types: ColumnTypes): Field[] {
  return Object.entries(types).map(([name, type]) => new Field(name, arrowType(type), false));
}

export function arrowSchema(
  types: ColumnTypes,
  metadata: Readonly<Record<string, string>>,
): Schema {
  return new Schema(fieldsOf(types), new Map(Object.entries(metadata)));
}

type AnyArray = { new (buffer: ArrayBufferLike, offset: number, length: number): ArrayBufferView };

/** Typed view of bytes; copies only where the bytes are not aligned for it. */
function view(array: AnyArray & { BYTES_PER_ELEMENT: number }, bytes: Uint8Array) {
  const size = array.BYTES_PER_ELEMENT;
  const aligned = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes);
  return new array(aligned.buffer, aligned.byteOffset, aligned.byteLength / size);
}

/** Arrow data of a column; `buffers` in our order, taken from `at` on. */
function dataOf(type: ColumnType, length: number, buffers: readonly Uint8Array[], at = 0): Data {
  const base = { type: arrowType(type), length, nullCount: 0 };
  switch (type.type) {
    case 'utf8':
    case 'binary': {
      const valueOffsets = view(Int32Array, buffers[at]);
      return makeData({ ...base, valueOffsets, data: buffers[at + 1] } as never);
    }
    case 'list': {
      const valueOffsets = view(Int32Array, buffers[at]) as Int32Array;
      const child = dataOf(type.item, valueOffsets[length], buffers, at + 1);
      return makeData({ ...base, valueOffsets, child } as never);
    }
    case 'fixed_list': {
      const child = dataOf(type.item, length * type.size, buffers, at);
      return makeData({ ...base, child } as never);
    }
    case 'struct': {
      let next = at;
      const children = Object.values(type.members).map((member) => {
        const data = dataOf(member, length, buffers, next);
        next += bufferCount(member);
        return data;
      });
      return makeData({ ...base, children } as never);
    }
    case 'bool':
    case 'fixed_binary':
      return makeData({ ...base, data: buffers[at] } as never);
    default:
      return makeData({ ...base, data: view(leaves[type.type].array, buffers[at]) } as never);
  }
}

function recordBatch(schema: Schema, types: ColumnTypes, columns: Columns): RecordBatch {
  const names = Object.keys(types);
  const rows = columns[names[0]].rows;
  const children = names.map((name) => dataOf(types[name], rows, columns[name].buffers));
  const struct = makeData({
    type: new Struct(schema.fields),
    length: rows,
    nullCount: 0,
    children,
  });
  return new RecordBatch(schema, struct);
}

/** One Arrow stream: schema, the batches (also without rows), end marker. */
export function encodeStream(
  types: ColumnTypes,
  batches: readonly Columns[],
  metadata: Readonly<Record<string, string>>,
): Buffer {
  const schema = arrowSchema(types, metadata);
  const writer = new RecordBatchStreamWriter();
  writer.reset(undefined, schema);
  for (const columns of batches) writer.write(recordBatch(schema, types, columns));
  writer.finish();
  const bytes = writer.toUint8Array(true);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Collects what the file writer emits, so that a caller can write it as it comes. */
class ChunkedFileWriter extends RecordBatchFileWriter {
  chunks: Uint8Array[] = [];

  protected override _write(chunk: ArrayBufferView) {
    if (chunk?.byteLength > 0) {
      this.chunks.push(bytesOf(chunk));
      this._position += chunk.byteLength;
    }
    return this;
  }

  get position(): number {
    return this._position;
  }
}

/** Writes an Arrow file piece by piece; nothing is kept but the footer's list of batches. */
export function arrowFileWriter(
  types: ColumnTypes,
  metadata: Readonly<Record<string, string>>,
): FileWriter {
  const schema = arrowSchema(types, metadata);
  const writer = new ChunkedFileWriter();
  const take = () => writer.chunks.splice(0);
  return {
    start() {
      writer.reset(undefined, schema);
      return take();
    },
    batch(columns) {
      const offset = writer.position;
      writer.write(recordBatch(schema, types, columns));
      const chunks = take();
      const metadataBytes = 8 + Buffer.concat(chunks.slice(0, 2)).readInt32LE(4);
      return { offset, metadataBytes, chunks };
    },
    finish() {
      writer.finish();
      return take();
    },
  };
}

export interface DecodedStream {
  readonly metadata: Readonly<Record<string, string>>;
  readonly types: ColumnTypes;
  readonly batches: readonly Columns[];
}

/** Reads a stream or file whole from memory. Throws `reply-invalid` on what is not Arrow. */
export function decodeStream(bytes: Uint8Array): DecodedStream {
  try {
    const reader = RecordBatchReader.from(bytes).open();
    const { schema } = reader; // gone once the last batch is read
    const batches: Columns[] = [];
    for (const batch of reader) {
      if (batch.constructor !== RecordBatch) continue; // made up by the library where there is none
      const entries = batch.schema.fields.map((field, i) => [
        field.name,
        { rows: batch.numRows, buffers: buffersOf(batch.data.children[i], batch.numRows) },
      ]);
      batches.push(Object.fromEntries(entries));
    }
    return {
      metadata: Object.fromEntries(schema.metadata),
      types: typesOf(schema),
      batches,
    };
  } catch (cause) {
    const message = `arrow: the bytes are not a whole Arrow stream (${(cause as Error).message})`;
    throw new LogitcaskError('reply-invalid', message, { cause });
  }
}

export function typesOf(schema: Schema): ColumnTypes {
  return Object.fromEntries(schema.fields.map((field) => [field.name, columnType(field.type)]));
}

const leafNames = new Map(
  Object.entries(leaves).map(([name, leaf]) => [
    leaf.type().toString(),
    name as keyof typeof leaves,
  ]),
);

function columnType(type: DataType): ColumnType {
  switch (type.typeId) {
    case Type.Bool:
      return { type: 'bool' };
    case Type.Utf8:
      return { type: 'utf8' };
    case Type.Binary:
      return { type: 'binary' };
    case Type.FixedSizeBinary:
      return { type: 'fixed_binary', size: (type as FixedSizeBinary).byteWidth };
    case Type.List:
      return { type: 'list', item: columnType((type as List).valueType) };
    case Type.FixedSizeList: {
      const list = type as FixedSizeList;
      return { type: 'fixed_list', size: list.listSize, item: columnType(list.valueType) };
    }
    case Type.Struct: {
      const { children } = type as Struct;
      const members = children.map((child) => [child.name, columnType(child.type)]);
      return { type: 'struct', members: Object.fromEntries(members) };
    }
    default: {
      const name = leafNames.get(type.toString());
      if (name !== undefined) return { type: name };
      throw new LogitcaskError('reply-invalid', `arrow: columns of type ${type} are not read here`);
    }
  }
}

function buffersOf(data: Data, length: number): Uint8Array[] {
  const type = data.type as DataType;
  if (type.typeId === Type.Struct) return data.children.flatMap((c) => buffersOf(c, length));
  if (type.typeId === Type.FixedSizeList) {
    return buffersOf(data.children[0], length * (type as FixedSizeList).listSize);
  }
  if (type.typeId === Type.List || type.typeId === Type.Utf8 || type.typeId === Type.Binary) {
    const offsets = data.valueOffsets.subarray(0, length + 1) as Int32Array;
    const items = length === 0 ? 0 : offsets[length];
    const values =
      type.typeId === Type.List
        ? buffersOf(data.children[0], items)
        : [bytesOf(data.values).subarray(0, items)];
    return [length === 0 ? new Uint8Array(4) : bytesOf(offsets), ...values];
  }
  const values = data.values as ArrayBufferView & { length: number };
  if (type.typeId === Type.Bool) return [bytesOf(values).subarray(0, (length + 7) >> 3)];
  const width =
    type.typeId === Type.FixedSizeBinary
      ? (type as FixedSizeBinary).byteWidth
      : values.byteLength / Math.max(1, values.length);
  return [bytesOf(values).subarray(0, length * width)];
}
