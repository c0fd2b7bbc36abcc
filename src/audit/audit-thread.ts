/** What threads of an audit run; each task opens the store: a file is seen as it is now. */
import type { AuditSize } from '../../schemas/audit.ts';
import { type ErrorData, errorData } from '../errors.ts';
import type { Store } from '../store/store.ts';
import { openStore } from '../store/table.ts';
import { paceOf } from './pace.ts';
import { passShard, type ShardResult, type ShardTask } from './pass-shard.ts';
import { readMemory } from './shard-bytes.ts';
import { auditSize, type SizeOptions } from './size.ts';

const memory = readMemory();

export function passShardInThread(task: ShardTask): Promise<ShardResult | ErrorData> {
  return withStore(task.url, (store) =>
    passShard(store, task, { memory, pace: paceOf(task.pace) }),
  );
}

export function sizeInThread({
  url,
  ...options
}: SizeOptions & { readonly url: string }): Promise<AuditSize | ErrorData> {
  return withStore(url, (store) => auditSize(store, options));
}

/** What it throws comes back as data: a thread loses the class of an error. */
async function withStore<T>(
  url: string,
  use: (store: Store) => Promise<T>,
): Promise<T | ErrorData> {
  const store = await openStore(url);
  try {
    return await use(store);
  } catch (error) {
    return errorData(error);
  } finally {
    await store.close();
  }
}
