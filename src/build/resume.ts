/**
 * What a crashed run left: its whole shards are proved and kept, everything behind them is removed.
 */
import type { ContainerName } from '../../schemas/common.ts';
import { digestFile } from '../audit/digests.ts';
import { LogitcaskError } from '../errors.ts';
import { decodeIndex, type IndexHeader } from '../shard/index-file.ts';
import { filePath, indexName, partPath, shardName } from '../shard/names.ts';
import { type ReferencePicker, readReference } from '../shard/reference.ts';
import type { Store } from '../store/store.ts';

export interface BuildPlace {
  readonly store: Store;
  readonly dataset: string;
  readonly build: string;
  readonly format: ContainerName;
}

/**
 * Headers of the whole shards 0, 1, …; files of the first that is not whole, and later, are
 * removed.
 */
export async function completedShards(
  place: BuildPlace,
  picker: ReferencePicker,
): Promise<IndexHeader[]> {
  const headers: IndexHeader[] = [];
  for (;;) {
    const header = await wholeShard(place, headers.length, picker);
    if (header === undefined) break;
    headers.push(header);
  }
  await removeFrom(place, headers.length);
  return headers;
}

async function wholeShard(
  { store, dataset, build, format }: BuildPlace,
  shard: number,
  picker: ReferencePicker,
): Promise<IndexHeader | undefined> {
  const path = filePath(dataset, shardName(build, shard, format));
  const indexPath = filePath(dataset, indexName(build, shard));
  const part = partPath(dataset, build, shard);
  if ((await store.size(path)) === undefined) return undefined;
  try {
    const { header } = decodeIndex(await store.readAll(indexPath), indexPath);
    const digest = await digestFile(store, path);
    if (digest === undefined || !digest.equals(header.shardDigest)) return undefined;
    const priorities: number[] = [];
    for await (const rows of readReference(store, part)) {
      for (const { priority, head } of rows) if (!head) priorities.push(priority);
    }
    priorities.forEach(picker.restore);
    return header;
  } catch (error) {
    const code = error instanceof LogitcaskError ? error.code : 'internal';
    // damaged or missing beside a whole shard: built again, which gives the same bytes
    if (['index-damaged', 'shard-damaged', 'store-not-found'].includes(code)) return undefined;
    throw error;
  }
}

async function removeFrom({ store, dataset, build }: BuildPlace, shard: number): Promise<void> {
  const numbered = new RegExp(`^${build}-([0-9]{5,})\\.(arrow|parquet|index|part)$`);
  for (const folder of ['files', 'parts']) {
    for (const name of await store.list(`${dataset}/${folder}`)) {
      const match = numbered.exec(name);
      if (match !== null && Number(match[1]) >= shard) {
        await store.remove(`${dataset}/${folder}/${name}`);
      }
    }
  }
}
