/**
 * Writes Parquet row group by row group: pages straight from our buffers, headers and footer by
 * hyparquet-writer, whose own path from rows to pages takes several times as long.
 */
import { crc32 } from 'node:zlib';
import type { ColumnMetaData, RowGroup } from 'hyparquet';
import { ByteWriter } from 'hyparquet-writer/src/bytewriter.js';
import { writePageHeader } from 'hyparquet-writer/src/datapage.js';
import { writeMetadata } from 'hyparquet-writer/src/metadata.js';
import { LogitcaskError } from '../errors.ts';
import type { Columns, ColumnTypes } from './arrow.ts';
import type { FileWriter } from './file-writer.ts';
import { type Column, fixedWidth, int32Of } from './layout.ts';
import { type Leaf, leavesOf, schemaOf } from './parquet-schema.ts';
import { statisticsOf } from './parquet-statistics.ts';
import { zstdCompress } from './zstd.ts';

/** Most bytes of a page, and so of a column in a row group, before compression. */
export const pageBytesMax = 256 * 1024 * 1024;

/** Integers in PLAIN take 12 % less than at level 3, at half the speed; level 9 gains 1 % more. */
const level = 6;
const magic = Buffer.from('PAR1');
const createdBy = 'logitcask format 1'; // without a version: the same rows give the same bytes

export function parquetFileWriter(
  types: ColumnTypes,
  metadata: Readonly<Record<string, string>>,
): FileWriter {
  const leaves = leavesOf(types);
  const groups: RowGroup[] = [];
  let position = magic.length;
  return {
    start: () => [magic],
    batch(columns) {
      const offset = position;
      const chunks: Uint8Array[] = [];
      const written = leaves.map((leaf) => {
        const { meta, pieces } = writeChunk(leaf, columns[leaf.name], position);
        position += Number(meta.total_compressed_size);
        chunks.push(...pieces);
        return { file_offset: 0n, meta_data: meta };
      });
      groups.push(groupOf(columns, written, { offset, bytes: position - offset }));
      return { offset, metadataBytes: position - offset, chunks };
    },
    finish() {
      const footer = new ByteWriter();
      writeMetadata(footer, {
        version: 2,
        created_by: createdBy,
        schema: schemaOf(leaves),
        num_rows: groups.reduce((sum, { num_rows }) => sum + num_rows, 0n),
        row_groups: groups,
        metadata_length: 0,
        key_value_metadata: Object.entries(metadata).map(([key, value]) => ({ key, value })),
      });
      return [footer.getBytes(), magic];
    },
  };
}

function groupOf(
  columns: Columns,
  written: RowGroup['columns'],
  { offset, bytes }: { offset: number; bytes: number },
): RowGroup {
  const raw = written.reduce((sum, { meta_data }) => {
    return sum + (meta_data?.total_uncompressed_size ?? 0n);
  }, 0n);
  return {
    columns: written,
    total_byte_size: raw,
    num_rows: BigInt(Object.values(columns)[0].rows),
    file_offset: BigInt(offset),
    total_compressed_size: BigInt(bytes),
  };
}

/** One column of one row group, as one page. */
function writeChunk(
  leaf: Leaf,
  column: Column,
  offset: number,
): { meta: ColumnMetaData; pieces: Uint8Array[] } {
  const { listed, encoding } = leaf;
  const { values, count, levels, empty } = pageOf(leaf, column);
  if (values.length > pageBytesMax) throw tooLarge(leaf.name, values.length);
  const packed = zstdCompress(values, level);
  const header = new ByteWriter();
  writePageHeader(header, {
    type: 'DATA_PAGE_V2',
    uncompressed_page_size: levels.length + values.length,
    compressed_page_size: levels.length + packed.length,
    crc: crc32(packed, crc32(levels)) | 0,
    data_page_header_v2: {
      num_values: count + empty,
      num_nulls: empty,
      num_rows: column.rows,
      encoding,
      repetition_levels_byte_length: levels.repetition,
      definition_levels_byte_length: levels.length - levels.repetition,
      is_compressed: true,
    },
  });
  const pieces = [header.getBytes(), levels, packed];
  const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const meta: ColumnMetaData = {
    type: leaf.element.type as ColumnMetaData['type'],
    encodings: listed ? ['RLE', encoding] : [encoding],
    path_in_schema: [...leaf.path],
    codec: 'ZSTD',
    num_values: BigInt(count + empty),
    total_uncompressed_size: BigInt(bytes - packed.length + values.length),
    total_compressed_size: BigInt(bytes),
    data_page_offset: BigInt(offset),
    statistics: statisticsOf(leaf, column, empty),
  };
  return { meta, pieces };
}

function tooLarge(name: string, got: number): LogitcaskError {
  const message = `parquet: \`${name}\` of a row group is too large; take shorter samples or arrow`;
  return new LogitcaskError('config-invalid', message, {
    expected: `at most ${pageBytesMax} bytes`,
    got,
  });
}

interface Page {
  readonly values: Uint8Array;
  /** Values, and rows without any. */
  readonly count: number;
  readonly empty: number;
  /** Repetition levels, then definition levels. */
  readonly levels: Uint8Array & { repetition: number };
}

function pageOf(leaf: Leaf, column: Column): Page {
  if (!leaf.listed) {
    const levels = Object.assign(new Uint8Array(0), { repetition: 0 });
    return { ...valuesOf(leaf, column.buffers, column.rows), empty: 0, levels };
  }
  const offsets = int32Of(column.buffers[0]).subarray(0, column.rows + 1);
  const count = offsets[column.rows];
  return { ...valuesOf(leaf, column.buffers.slice(leaf.buffer), count), ...levelsOf(offsets) };
}

/** Levels as runs, from the offsets of the lists. */
function levelsOf(offsets: Int32Array): Pick<Page, 'levels' | 'empty'> {
  const [repetition, definition] = [new Runs(), new Runs()];
  let empty = 0;
  for (let row = 0; row + 1 < offsets.length; row++) {
    const items = offsets[row + 1] - offsets[row];
    repetition.add(0, 1);
    if (items > 1) repetition.add(1, items - 1);
    if (items > 0) definition.add(1, items);
    else {
      definition.add(0, 1);
      empty++;
    }
  }
  const [first, second] = [repetition.finish(), definition.finish()];
  const levels = new Uint8Array(first.length + second.length);
  levels.set(first);
  levels.set(second, first.length);
  return { levels: Object.assign(levels, { repetition: first.length }), empty };
}

/** Run-length encoding of levels of one bit. */
class Runs {
  private readonly out = new ByteWriter();
  private value = 0;
  private length = 0;

  add(value: number, length: number): void {
    if (value !== this.value) this.flush();
    this.value = value;
    this.length += length;
  }

  finish(): Uint8Array {
    this.flush();
    return this.out.getBytes();
  }

  private flush(): void {
    if (this.length === 0) return;
    this.out.appendVarInt(this.length << 1);
    this.out.appendUint8(this.value);
    this.length = 0;
  }
}

function valuesOf(
  { type, width, encoding }: Leaf,
  buffers: readonly Uint8Array[],
  count: number,
): Pick<Page, 'values' | 'count'> {
  if (type.type === 'utf8' || type.type === 'binary') {
    return { values: prefixed(buffers, count), count };
  }
  const [bytes] = buffers;
  if (width === undefined) return { values: bytes.subarray(0, (count + 7) >> 3), count };
  const own = fixedWidth(type) as number;
  const values = widened(bytes.subarray(0, count * own), { own, width });
  return { values: encoding === 'PLAIN' ? values : splitBytes(values, width), count };
}

/** Little-endian values in `width` bytes each, the new ones 0. */
function widened(bytes: Uint8Array, { own, width }: { own: number; width: number }): Uint8Array {
  if (own === width) return bytes;
  const out = new Uint8Array((bytes.length / own) * width);
  for (let byte = 0; byte < own; byte++) {
    let to = byte;
    for (let from = byte; from < bytes.length; from += own, to += width) out[to] = bytes[from];
  }
  return out;
}

/** BYTE_STREAM_SPLIT: all first bytes, then all second bytes, … */
function splitBytes(bytes: Uint8Array, width: number): Uint8Array {
  const out = new Uint8Array(bytes.length);
  let to = 0;
  for (let plane = 0; plane < width; plane++) {
    for (let from = plane; from < bytes.length; from += width) out[to++] = bytes[from];
  }
  return out;
}

/** Each value behind its length. */
function prefixed([offsetBytes, data]: readonly Uint8Array[], count: number): Uint8Array {
  const offsets = int32Of(offsetBytes);
  const out = Buffer.alloc(4 * count + offsets[count]);
  let at = 0;
  for (let i = 0; i < count; i++) {
    const value = data.subarray(offsets[i], offsets[i + 1]);
    out.writeUInt32LE(value.length, at);
    out.set(value, at + 4);
    at += 4 + value.length;
  }
  return out;
}
