/**
 * Pages that our writer wrote, back to columns. Sizes are checked against each other and against
 * the checksum before anything is decompressed. Throws plain Errors: the caller knows the file.
 */
import { crc32 } from 'node:zlib';
import { parquetHeader } from 'hyparquet/src/column.js';
import type { ColumnType } from './layout.ts';
import { bytesOf, type Column, fixedWidth } from './layout.ts';
import { type Leaf, leavesOf } from './parquet-schema.ts';
import { pageBytesMax } from './parquet-writer.ts';
import { checkThrift } from './thrift-check.ts';
import { zstdDecompress } from './zstd.ts';

const split = 'BYTE_STREAM_SPLIT';

type PageHeader = NonNullable<ReturnType<typeof parquetHeader>['data_page_header_v2']>;

/** The column of one row group from its bytes. */
export function readChunk(
  bytes: Uint8Array,
  { name, type, rows }: { name: string; type: ColumnType; rows: number },
): Column {
  const [leaf] = leavesOf({ [name]: type });
  const { header, levels, packed, rawBytes } = openPage(bytes);
  expectEqual('rows', rows, header.num_rows);
  // either would do, so that writers may change their choice
  if (header.encoding !== 'PLAIN' && !(header.encoding === split && leaf.width !== undefined)) {
    throw new Error(`encoding ${header.encoding}`);
  }
  const count = header.num_values - header.num_nulls;
  if (!(count >= 0 && header.num_nulls >= 0 && count <= 8 * rawBytes)) {
    throw new Error(`${header.num_values} values, ${header.num_nulls} of them none`);
  }
  const { width } = leaf;
  if (width !== undefined) expectEqual('bytes', count * width, rawBytes);
  const offsets = leaf.listed ? offsetsOf(levels, header) : undefined;
  if (offsets === undefined) expectEqual('values', rows, header.num_values);
  const raw = zstdDecompress(packed, rawBytes);
  const values = valuesOf({ ...leaf, encoding: header.encoding }, raw, count);
  return { rows, buffers: offsets === undefined ? values : [bytesOf(offsets), ...values] };
}

function openPage(bytes: Uint8Array) {
  const end = checkThrift(bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, end);
  const { data_page_header_v2: header, ...page } = parquetHeader({ view, offset: 0 });
  if (header === undefined) throw new Error(`a page of type ${page.type}`);
  const body = bytes.subarray(end);
  expectEqual('page bytes', body.length, page.compressed_page_size);
  expectEqual('checksum', crc32(body), (page.crc ?? 0) >>> 0);
  const levelBytes = header.repetition_levels_byte_length + header.definition_levels_byte_length;
  const rawBytes = page.uncompressed_page_size - levelBytes;
  if (!(levelBytes >= 0 && levelBytes <= body.length)) throw new Error(`levels of ${levelBytes}`);
  if (!(rawBytes >= 0 && rawBytes <= pageBytesMax)) throw new Error(`a page of ${rawBytes} bytes`);
  const levels = body.subarray(0, levelBytes);
  return { header, levels, packed: body.subarray(levelBytes), rawBytes };
}

function expectEqual(what: string, expected: unknown, got: unknown): void {
  if (expected !== got) throw new Error(`${what} ${got}, not ${expected}`);
}

/** Where the list of each row begins and ends. */
function offsetsOf(levels: Uint8Array, header: PageHeader): Int32Array {
  const { num_rows: rows, num_values: count, num_nulls: empty } = header;
  const split = header.repetition_levels_byte_length;
  const definition = runsOf(levels.subarray(split));
  let run = 0;
  const take = (length: number) => {
    const current = definition[run];
    if (current === undefined || current.length < length) throw new Error('too few levels');
    current.length -= length;
    if (current.length === 0) run++;
    return current.value;
  };
  const offsets = new Int32Array(rows + 1);
  let row = 0;
  let at = 0;
  let none = 0;
  for (const { value, length } of runsOf(levels.subarray(0, split))) {
    if (value === 1) {
      if (row === 0 || offsets[row - 1] === at) throw new Error('an empty list with values');
      if (take(length) === 0) throw new Error('a value that is none');
      at += length;
      continue;
    }
    if (length > rows - row) throw new Error(`more than ${rows} rows`);
    for (let i = 0; i < length; i++) {
      offsets[row++] = at;
      if (take(1) === 1) at++;
      else none++;
    }
  }
  expectEqual('rows', rows, row);
  expectEqual('values', `${count - empty} and ${empty} empty`, `${at} and ${none} empty`);
  if (run < definition.length) throw new Error('more levels than values');
  offsets[rows] = at;
  return offsets;
}

interface Run {
  readonly value: number;
  length: number;
}

/** Levels of one bit, in runs only, as our writer writes them. */
function runsOf(bytes: Uint8Array): Run[] {
  const runs: Run[] = [];
  for (let at = 0; at < bytes.length; at++) {
    let header = 0;
    for (let scale = 1; ; scale *= 128) {
      if (at >= bytes.length || scale > 2 ** 35) throw new Error('levels are cut short');
      header += (bytes[at] & 127) * scale;
      if (bytes[at++] < 128) break;
    }
    const value = bytes[at];
    if (header < 2 || header % 2 === 1 || !(value <= 1)) throw new Error('levels are no runs');
    runs.push({ value, length: header / 2 });
  }
  return runs;
}

function valuesOf({ type, width, encoding }: Leaf, raw: Uint8Array, count: number): Uint8Array[] {
  if (type.type === 'utf8' || type.type === 'binary') return readPrefixed(raw, count);
  if (width === undefined) {
    expectEqual('bytes', (count + 7) >> 3, raw.length);
    return [raw];
  }
  const values = encoding === 'PLAIN' ? raw : joinBytes(raw, width);
  return [narrowed(values, { own: fixedWidth(type) as number, width })];
}

/** BYTE_STREAM_SPLIT back to values. */
function joinBytes(raw: Uint8Array, width: number): Uint8Array {
  const out = new Uint8Array(raw.length);
  let from = 0;
  for (let plane = 0; plane < width; plane++) {
    for (let to = plane; to < out.length; to += width) out[to] = raw[from++];
  }
  return out;
}

/** Values in `own` bytes each; those that the writer added must be 0. */
function narrowed(raw: Uint8Array, { own, width }: { own: number; width: number }): Uint8Array {
  if (own === width) return raw;
  const out = new Uint8Array((raw.length / width) * own);
  let over = 0;
  for (let byte = 0; byte < width; byte++) {
    if (byte >= own) {
      for (let from = byte; from < raw.length; from += width) over |= raw[from];
      continue;
    }
    let to = byte;
    for (let from = byte; from < raw.length; from += width, to += own) out[to] = raw[from];
  }
  if (over !== 0) throw new Error('a value beyond its type');
  return out;
}

function readPrefixed(raw: Uint8Array, count: number): Uint8Array[] {
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  if (4 * count > raw.length) throw new Error(`${count} values in ${raw.length} bytes`);
  const offsets = new Int32Array(count + 1);
  const data = new Uint8Array(raw.length - 4 * count);
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 4 > raw.length) throw new Error('values are cut short');
    const bytes = view.getUint32(at, true);
    if (offsets[i] + bytes > data.length) throw new Error(`a value of ${bytes} bytes`);
    data.set(raw.subarray(at + 4, at + 4 + bytes), offsets[i]);
    offsets[i + 1] = offsets[i] + bytes;
    at += 4 + bytes;
  }
  expectEqual('bytes', raw.length, at);
  return [bytesOf(offsets), data];
}
