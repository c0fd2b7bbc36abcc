/** What an audit that has not ended has found, shard by shard: the next one goes on behind it. */
import { deserialize, serialize } from 'node:v8';
import type { ManifestFile } from '../../schemas/manifest.ts';
import { auditLogPath, filePath, indexNameOf } from '../shard/names.ts';
import type { Store } from '../store/store.ts';
import type { ShardResult } from './pass-shard.ts';
import { talliesVersion } from './tallies.ts';

export interface AuditLog {
  /** Of a shard whose files are as large as they were, and in which nothing was wrong. */
  known(shard: number, file: ManifestFile): Promise<ShardResult | undefined>;
  add(shard: number, result: ShardResult): Promise<void>;
  close(): Promise<void>;
  /** The audit has ended. */
  remove(): Promise<void>;
}

interface Entry {
  readonly version: string;
  readonly shard: number;
  readonly result: ShardResult;
}

/** Hold a lock: there is one writer. */
export async function openAuditLog(
  store: Store,
  { dataset, id }: { dataset: string; id: string },
): Promise<AuditLog> {
  const path = auditLogPath(dataset, id);
  const offsets = new Map<number, number>();
  const log = await store.openLog(path, (record, offset) => {
    const { version, shard } = deserialize(record) as Entry;
    if (version === talliesVersion) offsets.set(shard, offset);
  });
  return {
    async known(shard, file) {
      const offset = offsets.get(shard);
      // digests prove what was read; a file of another size has been changed since
      if (offset === undefined || !(await isAsLarge(store, dataset, file))) return undefined;
      const { result } = deserialize(await log.read(offset)) as Entry;
      return result.problems.length === 0 ? result : undefined;
    },
    async add(shard, result) {
      const entry: Entry = { version: talliesVersion, shard, result };
      await log.append(serialize(entry));
    },
    close: () => log.close(),
    remove: () => store.remove(path),
  };
}

async function isAsLarge(store: Store, dataset: string, file: ManifestFile): Promise<boolean> {
  const index = await store.size(filePath(dataset, indexNameOf(file.name)));
  return (await store.size(filePath(dataset, file.name))) === file.bytes && index !== undefined;
}
