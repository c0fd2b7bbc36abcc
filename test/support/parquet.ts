/** Whole Parquet files in memory, through our writer and back through our reader. */
import type { Columns, ColumnTypes } from '../../src/formats/arrow.ts';
import { footerBytes, readFooter, tailBytes } from '../../src/formats/parquet-footer.ts';
import { readChunk } from '../../src/formats/parquet-pages.ts';
import { parquetFileWriter } from '../../src/formats/parquet-writer.ts';

export function writeParquet(
  types: ColumnTypes,
  batches: readonly Columns[],
  metadata: Readonly<Record<string, string>> = {},
): Buffer {
  const writer = parquetFileWriter(types, metadata);
  const pieces = [...writer.start()];
  for (const batch of batches) pieces.push(...writer.batch(batch).chunks);
  return Buffer.concat([...pieces, ...writer.finish()]);
}

export function readParquet(bytes: Buffer, types: ColumnTypes) {
  const length = footerBytes(bytes.subarray(-tailBytes), bytes.length);
  const { groups, metadata } = readFooter(bytes.subarray(-length), bytes.length, types);
  const batches = groups.map(({ rows, columns }) =>
    Object.fromEntries(
      Object.entries(types).map(([name, type]) => {
        const { offset, bytes: size } = columns[name];
        return [name, readChunk(bytes.subarray(offset, offset + size), { name, type, rows })];
      }),
    ),
  );
  return { batches, metadata };
}
