/** Files of a data set that nothing names any more: they cost room, and are never removed here. */
import { filesFolder, locksFolder, partsFolder } from '../shard/names.ts';
import { listSnapshots, readBuildStatus, resolveSnapshot } from '../shard/snapshot.ts';
import type { Store } from '../store/store.ts';

export interface Orphan {
  readonly path: string;
  readonly bytes: number;
}

/**
 * Files and parts that no snapshot of the data set names, and that no build which runs, or holds
 * its lock, has written. Throws `manifest-invalid`: without every manifest nothing can be told.
 */
export async function findOrphans(store: Store, dataset: string): Promise<Orphan[]> {
  // what is there now: a snapshot that is completed meanwhile names files that are listed already
  const files = new Set(await store.list(filesFolder(dataset)));
  const parts = await store.list(partsFolder(dataset));
  const builds = await runningBuilds(store, dataset);
  for (const id of await listSnapshots(store, dataset)) {
    const { manifest } = await resolveSnapshot(store, dataset, id);
    for (const { name } of manifest.files) files.delete(name);
  }
  const isRunning = (name: string) => builds.some((build) => name.startsWith(`${build}-`));
  const paths = [
    ...[...files].filter((name) => !isRunning(name)).map((n) => `${filesFolder(dataset)}/${n}`),
    ...parts.filter((name) => !isRunning(name)).map((n) => `${partsFolder(dataset)}/${n}`),
  ];
  const found: Orphan[] = [];
  for (const path of paths) {
    const bytes = await store.size(path);
    if (bytes !== undefined) found.push({ path, bytes });
  }
  return found.sort((a, b) => b.bytes - a.bytes || (a.path < b.path ? -1 : 1));
}

async function runningBuilds(store: Store, dataset: string): Promise<string[]> {
  const statuses = await readBuildStatus(store, dataset);
  const running = statuses.filter(({ state }) => state === 'running').map(({ build }) => build);
  return [...running, ...(await store.list(locksFolder(dataset)))];
}
