/**
 * Rows of any foreign Arrow file or stream, a record batch at a time: memory is bounded by the
 * largest batch. The lengths of messages are checked before the library reads them.
 */
import { type FileHandle, open } from 'node:fs/promises';
import {
  CompressionType,
  compressionRegistry,
  type Data,
  DataType,
  type Field,
  Precision,
  type RecordBatch,
  RecordBatchReader,
  type Struct,
  Type,
  type Vector,
} from 'apache-arrow';
import { decompressFrameSync } from 'lz4-napi';
import { LogitcaskError } from '../errors.ts';
import { checkMessage, headOf, metadataBytes, prefixBytes } from './arrow-read.ts';
import type { ReadMeter } from './jsonl.ts';
import type { RowCell, RowsFile } from './rows-file.ts';
import { zstdDecompressSized } from './zstd.ts';

const magicBytes = 8; // ARROW1, padded; what follows is a stream
const bufferBytesMax = 2 ** 31 - 1;

compressionRegistry.set(CompressionType.ZSTD, {
  decode: (frame) => zstdDecompressSized(frame, bufferBytesMax),
});
// at most 255 times its input
compressionRegistry.set(CompressionType.LZ4_FRAME, {
  decode: (frame) => decompressFrameSync(Buffer.from(frame)),
});

interface File {
  readonly name: string;
  readonly handle: FileHandle;
  readonly bytes: number;
  /** Where its stream begins. */
  readonly start: number;
}

/** Throws `source-unreadable`. */
export async function openArrowRows(name: string): Promise<RowsFile> {
  const handle = await open(name);
  try {
    const { size: bytes } = await handle.stat();
    const head = await readAt({ name, handle, bytes, start: 0 }, 0, Math.min(6, bytes));
    const file = { name, handle, bytes, start: head.toString() === 'ARROW1' ? magicBytes : 0 };
    const first = await messages(file).next();
    const columns = readable(file, () => {
      if (first.done || first.value.kind !== 'schema') {
        throw new Error('it has no schema in front of its batches (give it as a stream)');
      }
      return schemaOf(first.value.bytes).flatMap(namesOf);
    });
    return {
      columns,
      rows: (chosen, meter) => rowsOf(file, chosen, meter),
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function readable<T>(file: Pick<File, 'name'>, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw unreadable(file, (cause as Error).message);
  }
}

function unreadable({ name }: Pick<File, 'name'>, reason: string): LogitcaskError {
  const message = `capture: ${name} cannot be read as Arrow: ${reason}; write it again`;
  return new LogitcaskError('source-unreadable', message, { expected: 'Arrow', got: reason });
}

async function readAt(file: File, offset: number, length: number): Promise<Buffer> {
  if (offset + length > file.bytes) {
    throw unreadable(file, `${length} bytes at ${offset} of ${file.bytes}`);
  }
  const into = Buffer.allocUnsafeSlow(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.handle.read(into, done, length - done, offset + done);
    if (bytesRead === 0) throw unreadable(file, 'it is shorter than it was');
    done += bytesRead;
  }
  return into;
}

interface Message {
  readonly kind: ReturnType<typeof headOf>['kind'];
  /** With its prefix and body. */
  readonly bytes: Buffer;
  /** Where it ends in the file. */
  readonly end: number;
}

async function* messages(file: File): AsyncGenerator<Message, undefined> {
  for (let at = file.start; ; ) {
    const prefix = await readAt(file, at, prefixBytes);
    const length = readable(file, () => metadataBytes(prefix));
    if (length === 0) return;
    const metadata = await readAt(file, at + prefixBytes, length);
    const { kind, bodyBytes } = readable(file, () => {
      checkMessage(metadata);
      return headOf(metadata);
    });
    const end = at + prefixBytes + length + bodyBytes;
    const body = await readAt(file, end - bodyBytes, bodyBytes);
    yield { kind, bytes: Buffer.concat([prefix, metadata, body]), end };
    at = end;
  }
}

async function* rowsOf(
  file: File,
  columns: readonly string[],
  meter?: ReadMeter,
): ReturnType<RowsFile['rows']> {
  const before: Buffer[] = []; // schema and dictionaries
  for await (const { kind, bytes, end } of messages(file)) {
    if (kind !== 'batch') {
      before.push(bytes);
      continue;
    }
    const cells = readable(file, () => {
      const [batch] = RecordBatchReader.from(Buffer.concat([...before, bytes]));
      return cellsOf(batch, columns);
    });
    for (const row of cells.rows) yield readable(file, () => cells.read(row));
    if (meter !== undefined) meter.bytes = end;
  }
}

function cellsOf(batch: RecordBatch, columns: readonly string[]) {
  const parts = columns.map((name) => {
    const field = batch.schema.fields.findIndex((one) => namesOf(one).includes(name));
    if (field < 0) throw new Error(`it has no column ${name}`);
    const vector = batch.getChildAt(field) as Vector;
    for (const data of vector.data) checkData(data, batch.numRows);
    const own = batch.schema.fields[field].name;
    return { name, vector, member: name === own ? undefined : name.slice(own.length + 1) };
  });
  const read = (row: number): Record<string, RowCell> =>
    Object.fromEntries(
      parts.map(({ name, vector, member }) => [name, cellOf(vector.get(row), { name, member })]),
    );
  return { rows: Array.from({ length: batch.numRows }, (_, i) => i), read };
}

/** Offsets and lengths are those of what is there: the library takes them as they come. */
function checkData(data: Data, rows: number): void {
  const { type, length, children } = data;
  const isWrong = (found: number) => {
    if (length !== rows || !(found >= 0)) throw new Error(`a column of ${length} values`);
  };
  if (data.typeId === Type.Dictionary) {
    for (const part of data.dictionary?.data ?? []) checkData(part, part.length);
  } else if (data.valueOffsets?.length > 0) {
    const offsets = data.valueOffsets as Int32Array | BigInt64Array;
    isWrong(Number(offsets[0]));
    for (let i = 1; i <= length; i++) isWrong(Number(offsets[i]) - Number(offsets[i - 1]));
    isWrong((children[0]?.length ?? data.values.length) - Number(offsets[length]));
    if (children.length > 0) checkData(children[0], children[0].length);
  } else if (children.length > 0) {
    const each = DataType.isFixedSizeList(type) ? type.listSize : 1;
    for (const child of children) checkData(child, each * length);
  } else if (DataType.isBool(type)) isWrong(8 * data.values.length - length);
  else if (data.values !== undefined) isWrong(data.values.length - length * (data.stride ?? 1));
}

function schemaOf(bytes: Buffer): readonly Field[] {
  return RecordBatchReader.from(bytes).open().schema.fields;
}

const isList = ({ typeId }: Field['type']) => typeId === Type.List || typeId === Type.FixedSizeList;

/** `messages`, and of a list of structs `messages.role`. */
function namesOf({ name, type }: Field): string[] {
  let inside = type;
  while (isList(inside)) inside = inside.children[0].type;
  if (inside.typeId !== Type.Struct) return [name];
  return [name, ...(inside as Struct).children.map((child) => `${name}.${child.name}`)];
}

interface Wanted {
  readonly name: string;
  /** Of the structs that it holds. */
  readonly member?: string;
}

const isVector = (value: unknown): value is Vector =>
  typeof value === 'object' && value !== null && 'getChild' in value && 'length' in value;

function cellOf(value: unknown, wanted: Wanted): RowCell {
  if (value === null || value === undefined) return null;
  if (!isVector(value)) return leafOf(partOf(value, wanted), wanted);
  if (isPlain(value)) return numbersOf(value, wanted);
  const items: unknown[] = [...partsOf(value, wanted)];
  if (items.some(isVector)) {
    const lists = items.map((item) => (isVector(item) ? numbersOf(item, wanted) : none));
    const offsets = new Uint32Array(lists.length + 1);
    lists.forEach((list, i) => {
      offsets[i + 1] = offsets[i] + list.length;
    });
    const values = new Float64Array(offsets[lists.length]);
    lists.forEach((list, i) => {
      values.set(list, offsets[i]);
    });
    return { values, offsets };
  }
  if (items.some((item) => typeof item === 'string')) return items.map((item) => `${item ?? ''}`);
  return numbersOf(items, wanted);
}

const none = new Float64Array(0);

function partsOf(vector: Vector, wanted: Wanted): Iterable<unknown> {
  if (wanted.member === undefined) return vector;
  return Array.from(vector, (struct) => partOf(struct, wanted));
}

function partOf(value: unknown, { member }: Wanted): unknown {
  return member === undefined ? value : (Object(value)[member] ?? null);
}

function numbersOf(items: Iterable<unknown> | Vector, wanted: Wanted): Float64Array {
  if (isVector(items) && isPlain(items)) return Float64Array.from(items.toArray());
  return Float64Array.from(items, (item) => {
    const leaf = leafOf(item ?? Number.NaN, wanted);
    if (typeof leaf === 'number') return leaf;
    throw new Error(`column ${wanted.name} mixes texts and numbers`);
  });
}

/** Whose values are numbers as they lie in memory. */
function isPlain({ type, nullCount }: Vector): boolean {
  if (nullCount > 0) return false;
  if (DataType.isInt(type)) return type.bitWidth <= 32;
  return DataType.isFloat(type) && type.precision !== Precision.HALF;
}

function leafOf(value: unknown, { name }: Wanted): number | string | null {
  if (value === null || typeof value === 'number' || typeof value === 'string') return value;
  if (typeof value === 'bigint' || typeof value === 'boolean') return Number(value);
  throw new Error(`column ${name} holds what is neither a number nor a text`);
}
