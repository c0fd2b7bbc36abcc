/** How far a build is, in its status file, so that others can see it; written every few seconds. */
import { type BuildStatus, writeBuildStatus } from '../shard/snapshot.ts';
import type { Store } from '../store/store.ts';

/** Each is a durable write. */
const restMs = 2000;

export interface StatusWriter {
  write(change: Partial<BuildStatus>): Promise<void>;
  /** The same, unless the last write is a moment ago. */
  progress(change: Partial<BuildStatus>): Promise<void>;
}

export function createStatusWriter(
  store: Store,
  { dataset, build }: { dataset: string; build: string },
): StatusWriter {
  let status: BuildStatus = {
    build,
    state: 'running',
    snapshot: null,
    samples: 0,
    positions: 0,
    positionsTotal: null,
    shards: 0,
    updatedMs: 0,
    error: null,
  };
  const write = async (change: Partial<BuildStatus>) => {
    status = { ...status, ...change, updatedMs: Date.now() };
    await writeBuildStatus(store, dataset, status);
  };
  return {
    write,
    async progress(change) {
      if (Date.now() - status.updatedMs >= restMs) await write(change);
    },
  };
}
