/**
 * Column types as trees of buffers, in Arrow's physical order and without validity bitmaps. One
 * recursion serves reading a row by position, gathering rows and writing batches.
 */

/** Every type that a shard or a batch may hold. */
export type ColumnType =
  | { readonly type: 'int32' | 'uint8' | 'uint16' | 'uint32' | 'uint64' | 'float16' | 'float32' }
  | { readonly type: 'bool' }
  | { readonly type: 'utf8' | 'binary' }
  | { readonly type: 'fixed_binary'; readonly size: number }
  | { readonly type: 'list'; readonly item: ColumnType }
  | { readonly type: 'fixed_list'; readonly size: number; readonly item: ColumnType }
  | { readonly type: 'struct'; readonly members: Readonly<Record<string, ColumnType>> };

/** A run of rows of one column: its buffers in physical order; offsets start at 0. */
export interface Column {
  readonly rows: number;
  readonly buffers: readonly Uint8Array[];
}

const widths = { int32: 4, uint8: 1, uint16: 2, uint32: 4, uint64: 8, float16: 2, float32: 4 };

/** What holds values of these types, as they lie in memory. */
export const numberArrays = {
  int32: Int32Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  float32: Float32Array,
} as const;

export const list = (item: ColumnType): ColumnType => ({ type: 'list', item });
export const primitive = (type: keyof typeof widths): ColumnType => ({ type });

/** Bytes of one value of a type of fixed width, undefined for others (bool included). */
export function fixedWidth(type: ColumnType): number | undefined {
  if (type.type === 'fixed_binary') return type.size;
  if (type.type === 'fixed_list') {
    const item = fixedWidth(type.item);
    return item === undefined ? undefined : item * type.size;
  }
  return (widths as Record<string, number>)[type.type];
}

/** Number of buffers, offsets included, without validity bitmaps. */
export function bufferCount(type: ColumnType): number {
  switch (type.type) {
    case 'utf8':
    case 'binary':
      return 2;
    case 'list':
      return 1 + bufferCount(type.item);
    case 'fixed_list':
      return bufferCount(type.item);
    case 'struct':
      return Object.values(type.members).reduce((sum, member) => sum + bufferCount(member), 0);
    default:
      return 1;
  }
}

/** Bytes of the buffers, offsets included: what the column adds to a shard, before padding. */
export function columnBytes(column: Column): number {
  return column.buffers.reduce((sum, buffer) => sum + buffer.byteLength, 0);
}

/** A view of any typed array as bytes. */
export function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** Int32 view; copies where the bytes are not aligned. */
export function int32Of(bytes: Uint8Array): Int32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  return new Int32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength >> 2);
}

/** Fetches bytes [offset, offset + length) of buffer number `buffer` of a column. */
export type FetchBuffer = (buffer: number, offset: number, length: number) => Promise<Uint8Array>;

/** Reads rows [from, to) of a column through `fetch`, touching only the bytes that they occupy. */
export async function readRows(
  type: ColumnType,
  range: { from: number; to: number; buffer?: number },
  fetch: FetchBuffer,
): Promise<Column> {
  const { from, to, buffer = 0 } = range;
  const rows = to - from;
  if (type.type === 'bool') {
    const first = from >> 3;
    const bytes = await fetch(buffer, first, ((to + 7) >> 3) - first);
    return { rows, buffers: [shiftBits(bytes, from & 7, rows)] };
  }
  if (type.type === 'struct') {
    const buffers: Uint8Array[] = [];
    for (const member of Object.values(type.members)) {
      const part = await readRows(member, { from, to, buffer: buffer + buffers.length }, fetch);
      buffers.push(...part.buffers);
    }
    return { rows, buffers };
  }
  if (type.type === 'fixed_list') {
    const item = { from: from * type.size, to: to * type.size, buffer };
    return { rows, buffers: (await readRows(type.item, item, fetch)).buffers };
  }
  if (type.type === 'list' || type.type === 'utf8' || type.type === 'binary') {
    const offsets = int32Of(await fetch(buffer, from * 4, (rows + 1) * 4));
    const first = offsets[0];
    const last = offsets[rows];
    const rebased = offsets.map((offset) => offset - first);
    const items =
      type.type === 'list'
        ? (await readRows(type.item, { from: first, to: last, buffer: buffer + 1 }, fetch)).buffers
        : [await fetch(buffer + 1, first, last - first)];
    return { rows, buffers: [bytesOf(rebased), ...items] };
  }
  const width = fixedWidth(type)!;
  return { rows, buffers: [await fetch(buffer, from * width, rows * width)] };
}

/** Joins runs of rows of one column into one. */
export function concatColumns(type: ColumnType, columns: readonly Column[]): Column {
  const rows = columns.reduce((sum, column) => sum + column.rows, 0);
  if (type.type === 'bool') return { rows, buffers: [concatBits(columns, rows)] };
  if (type.type === 'struct') {
    const buffers: Uint8Array[] = [];
    for (const member of Object.values(type.members)) {
      const from = buffers.length;
      const to = from + bufferCount(member);
      const parts = columns.map((c) => ({ rows: c.rows, buffers: c.buffers.slice(from, to) }));
      buffers.push(...concatColumns(member, parts).buffers);
    }
    return { rows, buffers };
  }
  if (type.type === 'fixed_list') {
    const { size, item } = type;
    const parts = columns.map((c) => ({ rows: c.rows * size, buffers: c.buffers }));
    return { rows, buffers: concatColumns(item, parts).buffers };
  }
  if (type.type === 'list' || type.type === 'utf8' || type.type === 'binary') {
    const offsets = new Int32Array(rows + 1);
    const items: Column[] = [];
    let row = 0;
    for (const column of columns) {
      const own = int32Of(column.buffers[0]);
      const base = offsets[row];
      for (let i = 1; i <= column.rows; i++) offsets[row + i] = base + own[i];
      row += column.rows;
      items.push({ rows: own[column.rows], buffers: column.buffers.slice(1) });
    }
    const item: ColumnType = type.type === 'list' ? type.item : { type: 'uint8' };
    return { rows, buffers: [bytesOf(offsets), ...concatColumns(item, items).buffers] };
  }
  return { rows, buffers: [Buffer.concat(columns.map((column) => column.buffers[0]))] };
}

/** Joins runs of rows of several columns. */
export function concatRows(
  types: Readonly<Record<string, ColumnType>>,
  parts: readonly Readonly<Record<string, Column>>[],
): Record<string, Column> {
  const joined = Object.entries(types).map(([name, type]) => {
    const own = parts.map((columns) => columns[name]);
    return [name, concatColumns(type, own)] as const;
  });
  return Object.fromEntries(joined);
}

/** A list column of one row over flat values. */
export function listCell(values: Uint8Array, length: number): Column {
  return { rows: 1, buffers: [bytesOf(Int32Array.of(0, length)), values] };
}

/** Packs 0/1 bytes into Arrow's little-endian bits. */
export function packBits(flags: Uint8Array): Uint8Array {
  const bits = new Uint8Array((flags.length + 7) >> 3);
  for (let i = 0; i < flags.length; i++) if (flags[i]) bits[i >> 3] |= 1 << (i & 7);
  return bits;
}

export function unpackBits(bits: Uint8Array, length: number): Uint8Array {
  const flags = new Uint8Array(length);
  for (let i = 0; i < length; i++) flags[i] = (bits[i >> 3] >> (i & 7)) & 1;
  return flags;
}

function shiftBits(bytes: Uint8Array, shift: number, length: number): Uint8Array {
  if (shift === 0 && (length & 7) === 0) return bytes;
  const out = new Uint8Array((length + 7) >> 3);
  copyBits({ bits: out, at: 0 }, { bits: bytes, at: shift }, length);
  return out;
}

function concatBits(columns: readonly Column[], rows: number): Uint8Array {
  const out = new Uint8Array((rows + 7) >> 3);
  let at = 0;
  for (const { rows: count, buffers } of columns) {
    copyBits({ bits: out, at }, { bits: buffers[0], at: 0 }, count);
    at += count;
  }
  return out;
}

/** Bit `at` of packed bits. */
interface BitPlace {
  readonly bits: Uint8Array;
  readonly at: number;
}

/** Copies bits onto bits that are 0: whole bytes together, or else eight bits at a time. */
export function copyBits(to: BitPlace, from: BitPlace, count: number): void {
  const left = from.at & 7;
  const right = to.at & 7;
  const whole = (left | right) === 0 ? count >> 3 : 0;
  if (whole > 0) {
    to.bits.set(from.bits.subarray(from.at >> 3, (from.at >> 3) + whole), to.at >> 3);
  }
  for (let i = 8 * whole; i < count; i += 8) {
    const source = (from.at + i) >> 3;
    let byte = from.bits[source] >> left;
    if (left > 0) byte |= from.bits[source + 1] << (8 - left); // undefined behind the end: 0
    byte &= count - i >= 8 ? 255 : (1 << (count - i)) - 1;
    const target = (to.at + i) >> 3;
    to.bits[target] |= byte << right;
    if (right > 0) to.bits[target + 1] |= byte >> (8 - right); // nothing behind the end
  }
}
