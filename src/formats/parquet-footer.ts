/** Where the columns of a Parquet file lie; nothing that a footer says is believed unchecked. */
import { type ColumnChunk, type FileMetaData, parquetMetadata } from 'hyparquet';
import type { ColumnTypes } from './arrow.ts';
import { leavesOf, schemaOf } from './parquet-schema.ts';
import { checkThrift } from './thrift-check.ts';

/** Most bytes of a footer: about 100 for each column of a row group. */
export const footerBytesMax = 16 * 1024 * 1024;
/** Length of the metadata and magic, behind it. */
export const tailBytes = 8;

export interface ChunkPosition {
  /** Offset in the file. */
  readonly offset: number;
  readonly bytes: number;
  readonly rawBytes: number;
}

export interface RowGroupPositions {
  readonly rows: number;
  readonly columns: Readonly<Record<string, ChunkPosition>>;
}

export interface ParquetFooter {
  readonly groups: readonly RowGroupPositions[];
  readonly metadata: Readonly<Record<string, string>>;
}

/** Bytes of the footer, tail included, by the last 8 bytes of a file. Throws a plain Error. */
export function footerBytes(tail: Buffer, fileBytes: number): number {
  if (tail.toString('latin1', 4) !== 'PAR1') throw new Error('it does not end with PAR1');
  const bytes = tail.readUInt32LE(0) + tailBytes;
  if (bytes <= Math.min(footerBytesMax, fileBytes - 4)) return bytes;
  throw new Error(`a footer of ${bytes} bytes`);
}

/** Reads a footer of our columns (`bytes` with its tail). Throws a plain Error. */
export function readFooter(bytes: Buffer, fileBytes: number, types: ColumnTypes): ParquetFooter {
  checkThrift(bytes.subarray(0, bytes.length - tailBytes));
  const metadata = parquetMetadata(bytes, { geoparquet: false });
  expectSchema(metadata, types);
  const names = Object.keys(types);
  const end = fileBytes - bytes.length;
  return {
    groups: metadata.row_groups.map(({ num_rows, columns }) => {
      if (columns.length !== names.length) throw new Error(`${columns.length} columns in a group`);
      const found = columns.map((chunk, i) => [names[i], positionOf(chunk, end)]);
      return { rows: Number(num_rows), columns: Object.fromEntries(found) };
    }),
    metadata: Object.fromEntries(
      (metadata.key_value_metadata ?? []).map(({ key, value = '' }) => [key, value]),
    ),
  };
}

function expectSchema({ schema }: FileMetaData, types: ColumnTypes): void {
  const text = (elements: FileMetaData['schema']) =>
    JSON.stringify(
      elements.map((e) => [
        e.name,
        e.type,
        e.type_length,
        e.converted_type,
        e.logical_type?.type,
        e.num_children,
        e.repetition_type ?? 'REQUIRED',
      ]),
    );
  if (text(schema) !== text(schemaOf(leavesOf(types)))) throw new Error('other columns');
}

function positionOf({ meta_data: meta }: ColumnChunk, end: number): ChunkPosition {
  const offset = Number(meta?.data_page_offset);
  const bytes = Number(meta?.total_compressed_size);
  if (meta?.codec === 'ZSTD' && offset >= 4 && bytes >= 0 && offset + bytes <= end) {
    return { offset, bytes, rawBytes: Number(meta.total_uncompressed_size) };
  }
  throw new Error(`a column at ${offset} of ${bytes} bytes`);
}
