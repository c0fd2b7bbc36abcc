/**
 * A shard's index: where each record batch lies, and each sample's id and length, docs/format.md.
 */
import { crc32 } from 'node:zlib';
import { LogitcaskError } from '../errors.ts';

export const indexHeaderBytes = 96;
export const batchRecordBytes = 24;
export const rowRecordBytes = 24;
const magic = 0x5849434c; // LCIX

export interface BatchRecord {
  readonly firstRow: number;
  readonly rows: number;
  /** Offset of the message in the shard, and bytes of its metadata with the prefix. */
  readonly offset: number;
  readonly metadataBytes: number;
}

export interface RowRecord {
  /** 16 bytes. */
  readonly sampleId: Uint8Array;
  readonly positions: number;
  /** Positions whose mask is true. */
  readonly learned: number;
}

export interface IndexHeader {
  readonly samples: number;
  readonly batches: number;
  readonly positions: number;
  readonly learned: number;
  /** Entries of all target sets. */
  readonly entries: number;
  /** Input ordinal after the last sample. */
  readonly nextInput: number;
  readonly shardBytes: number;
  /** SHA-256 of the shard, 32 bytes. */
  readonly shardDigest: Uint8Array;
}

const u64 = ['positions', 'learned', 'entries', 'nextInput', 'shardBytes'] as const;

export function encodeIndex(
  header: Omit<IndexHeader, 'samples' | 'batches'>,
  batches: readonly BatchRecord[],
  rows: readonly RowRecord[],
): Buffer {
  const rowsAt = indexHeaderBytes + batches.length * batchRecordBytes;
  const bytes = Buffer.alloc(rowsAt + rows.length * rowRecordBytes);
  bytes.writeUInt32LE(magic, 0);
  bytes.writeUInt32LE(1, 4);
  bytes.writeUInt32LE(rows.length, 8);
  bytes.writeUInt32LE(batches.length, 12);
  u64.forEach((field, i) => {
    bytes.writeBigUInt64LE(BigInt(header[field]), 16 + 8 * i);
  });
  bytes.set(header.shardDigest, 56);
  batches.forEach((batch, i) => {
    const at = indexHeaderBytes + i * batchRecordBytes;
    bytes.writeUInt32LE(batch.firstRow, at);
    bytes.writeUInt32LE(batch.rows, at + 4);
    bytes.writeBigUInt64LE(BigInt(batch.offset), at + 8);
    bytes.writeUInt32LE(batch.metadataBytes, at + 16);
  });
  rows.forEach((row, i) => {
    const at = rowsAt + i * rowRecordBytes;
    bytes.set(row.sampleId, at);
    bytes.writeUInt32LE(row.positions, at + 16);
    bytes.writeUInt32LE(row.learned, at + 20);
  });
  bytes.writeUInt32LE(checksum(bytes), 92);
  return bytes;
}

function checksum(bytes: Uint8Array): number {
  return crc32(bytes.subarray(indexHeaderBytes), crc32(bytes.subarray(0, 92)));
}

export function indexDamaged(file: string, expected: unknown, got: unknown): LogitcaskError {
  const message = `index: ${file} contradicts itself; restore it, or build the data set again`;
  return new LogitcaskError('index-damaged', message, { expected, got });
}

/** Reads the header; `fileBytes` is the size of the whole index. Throws `index-damaged`. */
export function decodeIndexHeader(bytes: Buffer, fileBytes: number, file: string): IndexHeader {
  if (bytes.length < indexHeaderBytes || bytes.readUInt32LE(0) !== magic) {
    throw indexDamaged(file, 'LCIX', bytes.subarray(0, 4).toString('latin1'));
  }
  if (bytes.readUInt32LE(4) !== 1) throw indexDamaged(file, 'version 1', bytes.readUInt32LE(4));
  const samples = bytes.readUInt32LE(8);
  const batches = bytes.readUInt32LE(12);
  const expected = indexHeaderBytes + batches * batchRecordBytes + samples * rowRecordBytes;
  if (fileBytes !== expected) throw indexDamaged(file, `${expected} bytes`, `${fileBytes} bytes`);
  const [positions, learned, entries, nextInput, shardBytes] = u64.map((_, i) =>
    Number(bytes.readBigUInt64LE(16 + 8 * i)),
  );
  const shardDigest = bytes.subarray(56, 88);
  return { samples, batches, positions, learned, entries, nextInput, shardBytes, shardDigest };
}

/**
 * Reads the batch records from their bytes. They must follow one another and hold all samples;
 * whether an offset is true shows in the shard. Throws `index-damaged`.
 */
export function decodeBatches(bytes: Buffer, { samples }: IndexHeader, file: string) {
  let next = 0;
  const batches = Array.from({ length: bytes.length / batchRecordBytes }, (_, i): BatchRecord => {
    const at = i * batchRecordBytes;
    const firstRow = bytes.readUInt32LE(at);
    const rows = bytes.readUInt32LE(at + 4);
    if (firstRow !== next) throw indexDamaged(file, `batch ${i} from row ${next}`, firstRow);
    next += rows;
    return {
      firstRow,
      rows,
      offset: Number(bytes.readBigUInt64LE(at + 8)),
      metadataBytes: bytes.readUInt32LE(at + 16),
    };
  });
  if (next !== samples) throw indexDamaged(file, `${samples} samples in batches`, next);
  return batches;
}

/**
 * Reads a whole index and proves its checksum; `rows` are the records of its samples as they are.
 */
export function decodeIndex(
  bytes: Buffer,
  file: string,
): { header: IndexHeader; batches: BatchRecord[]; rows: Buffer } {
  const header = decodeIndexHeader(bytes, bytes.length, file);
  const stored = bytes.readUInt32LE(92);
  if (stored !== checksum(bytes)) throw indexDamaged(file, stored, checksum(bytes));
  const rowsAt = indexHeaderBytes + header.batches * batchRecordBytes;
  const batches = decodeBatches(bytes.subarray(indexHeaderBytes, rowsAt), header, file);
  return { header, batches, rows: bytes.subarray(rowsAt) };
}
