/** What an audit that has not ended has found, shard by shard: the next one goes on behind it. */
import { deserialize, serialize } from 'node:v8';
import type { ManifestFile } from '../../schemas/manifest.ts';
import { auditLogPath, filePath } from '../shard/names.ts';
import type { Store } from '../store/store.ts';
import type { ShardResult } from './pass-shard.ts';
import { talliesVersion } from './tallies.ts';

export interface AuditLog {
  /** Of a shard whose files are as large as the manifest says, and in which nothing was wrong. */
  known(shard: number, files: readonly ManifestFile[]): Promise<ShardResult | undefined>;
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
    const entry = entryOf(record);
    if (entry?.version === talliesVersion) offsets.set(entry.shard, offset);
  });
  return {
    async known(shard, files) {
      const offset = offsets.get(shard);
      // digests prove what was read; a file of another size has been changed since
      if (offset === undefined || !(await areAsLarge(store, dataset, files))) return undefined;
      const result = entryOf(await log.read(offset))?.result;
      return result?.problems.length === 0 ? result : undefined;
    },
    async add(shard, result) {
      const entry: Entry = { version: talliesVersion, shard, result };
      await log.append(serialize(entry));
    },
    close: () => log.close(),
    remove: () => store.remove(path),
  };
}

/** One that this version of Node.js cannot read tells nothing: its shard is read again. */
function entryOf(record: Buffer): Entry | undefined {
  try {
    return deserialize(record);
  } catch {
    return undefined;
  }
}

async function areAsLarge(store: Store, dataset: string, files: readonly ManifestFile[]) {
  for (const { name, bytes } of files) {
    if ((await store.size(filePath(dataset, name))) !== bytes) return false;
  }
  return true;
}
