/** Arrow IPC files: rows by position, no byte of their neighbours; directories are cached. */
import { arrowFileWriter } from '../formats/arrow.ts';
import { type BatchPositions, batchPositions } from '../formats/arrow-positions.ts';
import { type Column, int32Of, readRows } from '../formats/layout.ts';
import { coalesced, type ReadBytes } from './coalesce.ts';
import type { BatchRecord } from './index-file.ts';
import { type Container, type Run, type ShardFile, shardDamaged } from './shard-file.ts';

export const arrowContainer: Container = {
  writer: arrowFileWriter,
  compressed: false,
  batchesMax: Number.POSITIVE_INFINITY,
  runsAtOnce: Number.POSITIVE_INFINITY,
  async readRun(shard, run, names) {
    const read = coalesced((offset, length) => shard.read(offset, length));
    const columns = names.map(
      async (name) => [name, await readColumn(shard, run, { name, read })] as const,
    );
    return Object.fromEntries(await Promise.all(columns));
  },
  async columnBytes(shard, batch) {
    const { columns } = await positionsOf(shard, batch);
    const sizes = Object.entries(columns).map(([name, buffers]) => {
      return [name, buffers.reduce((n, { bytes }) => n + bytes, 0)] as const;
    });
    return Object.fromEntries(sizes);
  },
};

function positionsOf(shard: ShardFile, batch: BatchRecord): Promise<BatchPositions> {
  const { offset, metadataBytes, rows } = batch;
  return shard.cached(`${shard.path}@${offset}`, 2 * metadataBytes, async () => {
    const bytes = await shard.read(offset, metadataBytes);
    try {
      const positions = batchPositions(bytes, offset, shard.columns);
      if (positions.rows === rows) return positions;
      throw new Error(`${positions.rows} rows`);
    } catch (error) {
      const got = (error as Error).message;
      throw shardDamaged(shard.file.name, `${rows} rows of our columns`, got);
    }
  });
}

async function readColumn(
  shard: ShardFile,
  run: Run,
  { name, read }: { name: string; read: ReadBytes },
): Promise<Column> {
  const { batch } = run;
  const type = shard.columns[name];
  const positions = (await positionsOf(shard, batch)).columns[name];
  const hasOffsets = type.type === 'list' || type.type === 'utf8' || type.type === 'binary';
  const fetch = async (buffer: number, offset: number, length: number) => {
    const { offset: at, bytes } = positions[buffer];
    if (!(offset >= 0 && length >= 0 && offset + length <= bytes)) {
      throw shardDamaged(shard.file.name, `${bytes} bytes in \`${name}\``, offset + length);
    }
    if (!hasOffsets || buffer !== 0) return read(at + offset, length);
    const whole = await shard.cached(`${shard.path}@${at}`, bytes, async () => {
      const offsets = Buffer.from(await read(at, bytes)); // without what was read around it
      if (ascends(int32Of(offsets).subarray(0, batch.rows + 1))) return offsets;
      throw shardDamaged(shard.file.name, `ascending offsets in \`${name}\``, 'others');
    });
    return whole.subarray(offset, offset + length);
  };
  return readRows(type, { from: run.row, to: run.row + run.rows }, fetch);
}

function ascends(offsets: Int32Array): boolean {
  return offsets[0] === 0 && offsets.every((offset, i) => i === 0 || offset >= offsets[i - 1]);
}
