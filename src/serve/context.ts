/** What every route works with: the store, open snapshots and plans under limits. */
import type { ServeConfig } from '../../schemas/serve-config.ts';
import { type OpenPlan, openPlan } from '../plan/open-plan.ts';
import type { Permutation } from '../plan/permutation.ts';
import { readPlan } from '../plan/stored.ts';
import { createReader } from '../shard/open-snapshot.ts';
import type { SnapshotReader } from '../shard/reader.ts';
import { resolveSnapshot } from '../shard/snapshot.ts';
import { createLru } from '../store/lru.ts';
import type { Store } from '../store/store.ts';
import { type Integrity, openIntegrity } from './integrity.ts';

const plansOpenMax = 64;
/** Tables of the orders of small sets, over all plans. */
const orderBytesMax = 64 * 1024 * 1024;

export interface ServeContext {
  readonly store: Store;
  readonly config: ServeConfig;
  readonly integrity: Integrity;
  /** A snapshot by digest or tag; its files are proved in the background once it is opened. */
  snapshot(dataset: string, ref: string): Promise<SnapshotReader>;
  plan(id: string): Promise<OpenPlan>;
  /** True once the server is about to stop. */
  stopping: boolean;
  close(): void;
}

export async function createContext(store: Store, config: ServeConfig): Promise<ServeContext> {
  const { snapshots_open_max, directory_bytes_max } = config.limits;
  const readers = createLru<SnapshotReader>(snapshots_open_max, (reader) => void reader.close());
  const plans = createLru<OpenPlan>(plansOpenMax);
  const orders = createLru<Permutation>(orderBytesMax);
  const integrity = await openIntegrity(store);
  return {
    store,
    config,
    integrity,
    stopping: false,
    async snapshot(dataset, ref) {
      const known = readers.get(`${dataset}/${ref}`); // digests only: tags move
      if (known !== undefined) return known;
      const resolved = await resolveSnapshot(store, dataset, ref);
      const key = `${dataset}/${resolved.id}`;
      const open = readers.get(key);
      if (open !== undefined) return open;
      const reader = createReader(store, { ...resolved, cacheBytesMax: directory_bytes_max });
      readers.set(key, reader, 1);
      void integrity.checkAll(reader.manifest);
      return reader;
    },
    async plan(id) {
      const known = plans.get(id);
      if (known !== undefined) return known;
      const plan = await openPlan(await readPlan(store, id), { store, orders });
      plans.set(id, plan, 1);
      return plan;
    },
    close() {
      integrity.stop();
      readers.clear();
      plans.clear();
    },
  };
}
