/**
 * A shard read once, from its first byte to its last: what is hashed is what its batches are
 * decoded from. A batch that is larger than what is held at once is read by runs of rows, apart.
 */
import type { Hash } from 'node:crypto';
import type { ManifestFile } from '../../schemas/manifest.ts';
import type { Column, ColumnType } from '../formats/layout.ts';
import { containerOf } from '../shard/containers.ts';
import type { BatchRecord } from '../shard/index-file.ts';
import { filePath } from '../shard/names.ts';
import { openShard } from '../shard/open-snapshot.ts';
import { readShardInto, type ShardFile, shardDamaged } from '../shard/shard-file.ts';
import { createLru } from '../store/lru.ts';
import type { Store } from '../store/store.ts';

const windowBytesMax = 16 * 1024 * 1024;
const pieceBytes = 1024 * 1024;
const rowsAtOnce = 16;
const cacheBytesMax = 8 * 1024 * 1024;

/**
 * Memory that shards are read into, one at a time: buffers of their own would lie in thousands
 * behind the heap before they were freed.
 */
export interface ReadMemory {
  bytes: Buffer;
}

export const readMemory = (): ReadMemory => ({ bytes: Buffer.alloc(0) });

export interface ShardBytesOptions {
  readonly memory: ReadMemory;
  readonly dataset: string;
  readonly file: ManifestFile;
  readonly columns: Readonly<Record<string, ColumnType>>;
  readonly batches: readonly BatchRecord[];
  readonly hash: Hash;
  /** Awaited before bytes are read. */
  readonly paced: (bytes: number) => Promise<void>;
  /** Columns of some rows, the first of which has this number in the shard. */
  readonly visit: (columns: Record<string, Column>, row: number) => void;
}

/**
 * Hashes every byte and shows every row; after what `visit` or a batch throws, bytes are hashed
 * only. Returns that error. Throws what the store throws.
 */
export async function readShardBytes(store: Store, options: ShardBytesOptions): Promise<unknown> {
  const { memory, dataset, file, columns, batches, hash, paced, visit } = options;
  const path = filePath(dataset, file.name);
  const cache = createLru<Promise<unknown>>(cacheBytesMax);
  const stored = openShard(store, { dataset, file, columns, cache });
  let held: { from: number; bytes: Buffer } | undefined;
  const shard: ShardFile = {
    ...stored,
    read: async (offset, length) => {
      const at = offset - (held?.from ?? 0);
      const isHeld = held !== undefined && at >= 0 && at + length <= held.bytes.length;
      return isHeld ? held!.bytes.subarray(at, at + length) : stored.read(offset, length);
    },
  };
  const cut = stretches(file, batches);
  let failed = wrongOrder(file, cut);
  for (const { from, to, batch } of failed === undefined ? cut : stretches(file, [])) {
    const isWhole = to - from <= windowBytesMax;
    const size = isWhole ? to - from : pieceBytes;
    for (let at = from; at < to; at += size) {
      const length = Math.min(size, to - at);
      await paced(length);
      if (memory.bytes.length < length) memory.bytes = Buffer.allocUnsafeSlow(length);
      const bytes = memory.bytes.subarray(0, length);
      await readShardInto(store, { path, file }, at, bytes);
      hash.update(bytes);
      held = isWhole ? { from, bytes } : undefined;
    }
    if (batch === undefined || failed !== undefined) continue;
    try {
      await readBatch(shard, { batch, rowsMax: isWhole ? batch.rows : rowsAtOnce, visit });
    } catch (error) {
      failed = error;
    }
  }
  return failed;
}

async function readBatch(
  shard: ShardFile,
  {
    batch,
    rowsMax,
    visit,
  }: { batch: BatchRecord; rowsMax: number; visit: ShardBytesOptions['visit'] },
): Promise<void> {
  const names = Object.keys(shard.columns);
  const container = containerOf(shard.file.name);
  for (let row = 0; row < batch.rows; row += rowsMax) {
    const rows = Math.min(rowsMax, batch.rows - row);
    visit(await container.readRun(shard, { batch, row, rows }, names), batch.firstRow + row);
  }
}

interface Stretch {
  readonly from: number;
  readonly to: number;
  /** That begins the stretch. */
  readonly batch?: BatchRecord;
}

/** The whole file, cut where batches begin. */
function stretches(file: ManifestFile, batches: readonly BatchRecord[]): Stretch[] {
  const found: Stretch[] = [{ from: 0, to: batches[0]?.offset ?? file.bytes }];
  for (const [i, batch] of batches.entries()) {
    found.push({ from: batch.offset, to: batches[i + 1]?.offset ?? file.bytes, batch });
  }
  return found;
}

function wrongOrder(file: ManifestFile, found: readonly Stretch[]): unknown {
  const wrong = found.find(({ from, to }) => !(from <= to));
  if (wrong === undefined) return undefined;
  return shardDamaged(file.name, `batches in ${file.bytes} bytes, one after another`, wrong);
}
