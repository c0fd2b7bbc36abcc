/** Parquet files: the columns asked for of a row group are decoded whole and kept a while. */
import { type Column, readRows } from '../formats/layout.ts';
import {
  type ChunkPosition,
  footerBytes,
  type ParquetFooter,
  type RowGroupPositions,
  readFooter,
  tailBytes,
} from '../formats/parquet-footer.ts';
import { readChunk } from '../formats/parquet-pages.ts';
import { parquetFileWriter } from '../formats/parquet-writer.ts';
import type { BatchRecord } from './index-file.ts';
import { type Container, type Run, type ShardFile, shardDamaged } from './shard-file.ts';

export const parquetContainer: Container = {
  writer: parquetFileWriter,
  compressed: true,
  batchesMax: 4096, // a footer of about 6 MiB
  runsAtOnce: 1,
  async readRun(shard, run, names) {
    const { columns } = await groupOf(shard, run.batch);
    const found: Record<string, Column> = {};
    for (const name of names) found[name] = await rowsOf(shard, run, { name, ...columns[name] });
    return found;
  },
  async columnBytes(shard, batch) {
    const { columns } = await groupOf(shard, batch);
    const sizes = Object.entries(columns).map(([name, { bytes }]) => [name, bytes]);
    return Object.fromEntries(sizes);
  },
};

async function rowsOf(
  shard: ShardFile,
  { batch, row, rows }: Run,
  { name, offset, bytes, rawBytes }: ChunkPosition & { name: string },
): Promise<Column> {
  const type = shard.columns[name];
  const key = `${shard.path}@${offset}`;
  const { buffers } = await shard.cached(key, rawBytes, async () => {
    const chunk = await shard.read(offset, bytes);
    return attempt(shard, `${batch.rows} rows of \`${name}\``, () =>
      readChunk(chunk, { name, type, rows: batch.rows }),
    );
  });
  const fetch = async (i: number, at: number, n: number) => buffers[i].subarray(at, at + n);
  return readRows(type, { from: row, to: row + rows }, fetch);
}

/** The row group that a batch of the index stands for. */
async function groupOf(shard: ShardFile, batch: BatchRecord): Promise<RowGroupPositions> {
  const { groups } = await footerOf(shard);
  const { offset, metadataBytes, rows } = batch;
  const group = groups.find(({ columns }) => Object.values(columns)[0].offset === offset);
  const bytes = Object.values(group?.columns ?? {}).reduce((sum, chunk) => sum + chunk.bytes, 0);
  if (group?.rows === rows && bytes === metadataBytes) return group;
  throw shardDamaged(shard.file.name, { offset, rows, bytes: metadataBytes }, group ?? 'no group');
}

/** Costs about what its bytes do, several times over; their number is known once it is read. */
const footerCost = 64 * 1024;

function footerOf(shard: ShardFile): Promise<ParquetFooter> {
  const { file, columns } = shard;
  return shard.cached(`${shard.path}#footer`, footerCost, async () => {
    const tail = await shard.read(Math.max(0, file.bytes - tailBytes), tailBytes);
    const length = attempt(shard, 'a footer', () => footerBytes(tail, file.bytes));
    const bytes = await shard.read(file.bytes - length, length);
    return attempt(shard, 'our columns', () => readFooter(bytes, file.bytes, columns));
  });
}

function attempt<T>({ file }: ShardFile, expected: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw shardDamaged(file.name, expected, (error as Error).message);
  }
}
