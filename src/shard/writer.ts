/**
 * Writes one shard and its index; memory holds one batch, and neither file is seen
 * half-written.
 */
import { createHash } from 'node:crypto';
import type { Columns, ColumnTypes } from '../formats/arrow.ts';
import { columnBytes, concatRows } from '../formats/layout.ts';
import type { Store } from '../store/store.ts';
import { containerOf } from './containers.ts';
import { type BatchRecord, encodeIndex, type RowRecord } from './index-file.ts';

export interface ShardTarget {
  readonly store: Store;
  /** Store names of the shard and of its index. */
  readonly shard: string;
  readonly index: string;
  readonly types: ColumnTypes;
  readonly metadata: Readonly<Record<string, string>>;
  readonly batchBytesMax: number;
}

export interface ShardRow extends RowRecord {
  /** One row of every column. */
  readonly columns: Columns;
  readonly entries: number;
}

export interface ShardWriter {
  readonly samples: number;
  /** Bytes so far: of the columns, or of the file where its container compresses them. */
  readonly bytes: number;
  /** Whether it has reached a size, or all the batches that a file of its kind may have. */
  isFull(bytesMax: number): boolean;
  add(row: ShardRow): Promise<void>;
  /** Commits the index, then the shard: a shard that can be seen has its index. */
  finish(nextInput: number): Promise<void>;
  abort(): Promise<void>;
}

export async function openShardWriter(target: ShardTarget): Promise<ShardWriter> {
  const { store, types, batchBytesMax } = target;
  const container = containerOf(target.shard);
  const format = container.writer(types, target.metadata);
  const file = await store.create(target.shard);
  const hash = createHash('sha256');
  const batches: BatchRecord[] = [];
  const rows: RowRecord[] = [];
  const totals = { positions: 0, learned: 0, entries: 0 };
  let pending: Columns[] = [];
  let pendingBytes = 0;
  let bytes = 0;

  const append = async (chunks: readonly Uint8Array[]) => {
    const piece = Buffer.concat(chunks); // one write a batch
    hash.update(piece);
    await file.append(piece);
  };
  const flush = async () => {
    if (pending.length === 0) return;
    const { offset, metadataBytes, chunks } = format.batch(concatRows(types, pending));
    const firstRow = rows.length - pending.length;
    batches.push({ firstRow, rows: pending.length, offset, metadataBytes });
    pending = [];
    pendingBytes = 0;
    await append(chunks);
  };
  try {
    await append(format.start());
  } catch (error) {
    await file.abort();
    throw error;
  }
  const size = () => (container.compressed ? file.bytesWritten + pendingBytes : bytes);
  return {
    get samples() {
      return rows.length;
    },
    get bytes() {
      return size();
    },
    isFull: (bytesMax) => size() >= bytesMax || batches.length >= container.batchesMax,
    async add({ columns, sampleId, positions, learned, entries }) {
      const size = Object.values(columns).reduce((sum, column) => sum + columnBytes(column), 0);
      if (pendingBytes > 0 && pendingBytes + size > batchBytesMax) await flush();
      pending.push(columns);
      pendingBytes += size;
      bytes += size;
      rows.push({ sampleId, positions, learned });
      totals.positions += positions;
      totals.learned += learned;
      totals.entries += entries;
    },
    async finish(nextInput) {
      await flush();
      await append(format.finish());
      const header = { ...totals, nextInput, shardBytes: file.bytesWritten };
      const index = encodeIndex({ ...header, shardDigest: hash.digest() }, batches, rows);
      await store.write(target.index, index);
      await file.commit();
    },
    abort: () => file.abort(),
  };
}
