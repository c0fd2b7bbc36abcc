/** What a container of columns promises to whoever writes a file of it piece by piece. */
import type { Column } from './layout.ts';

export interface WrittenBatch {
  /** Offset of the batch in the file. */
  readonly offset: number;
  /** Arrow: bytes of the batch's metadata, length prefix included. Parquet: of the row group. */
  readonly metadataBytes: number;
  readonly chunks: readonly Uint8Array[];
}

export interface FileWriter {
  /** Bytes of the file before the first batch. */
  start(): readonly Uint8Array[];
  batch(columns: Readonly<Record<string, Column>>): WrittenBatch;
  /** End of the file. */
  finish(): readonly Uint8Array[];
}
