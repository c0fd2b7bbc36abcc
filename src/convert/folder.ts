/** An exported snapshot: one folder with `manifest.json` and its files beside it. */
import { basename, dirname } from 'node:path';
import { LogitcaskError } from '../errors.ts';
import { sha256Hex } from '../formats/canonical.ts';
import { parseManifest, type ResolvedSnapshot, resolveSnapshot } from '../shard/snapshot.ts';
import type { Store } from '../store/store.ts';
import { openStore } from '../store/table.ts';

export const manifestName = 'manifest.json';
const manifestBytesMax = 64 * 1024 * 1024;

/** A store in which the files of any data set lie directly in the folder. */
export function flatten(store: Store): Store {
  const flat = (name: string) => name.replace(/^[^/]+\/(files\/|(?=images\/))/, '');
  return {
    url: store.url,
    read: (name, ...range) => store.read(flat(name), ...range),
    readInto: (name, offset, bytes) => store.readInto(flat(name), offset, bytes),
    readAll: (name, bytesMax) => store.readAll(flat(name), bytesMax),
    size: (name) => store.size(flat(name)),
    list: (folder) => store.list(folder),
    write: (name, ...rest) => store.write(flat(name), ...rest),
    create: (name) => store.create(flat(name)),
    link: (name, second) => store.link(flat(name), flat(second)),
    openLog: (name, visit) => store.openLog(flat(name), visit),
    remove: (name) => store.remove(flat(name)),
    removeFolder: (folder) => store.removeFolder(folder),
    sweep: () => store.sweep(),
    close: () => store.close(),
  };
}

/** What lies in a folder: an exported snapshot, or a data set of a store (`store/dataset`). */
export async function openFolder(
  folder: string,
  ref: string,
): Promise<{ store: Store; snapshot: ResolvedSnapshot }> {
  const own = await openStore(folder);
  if ((await own.size(manifestName)) !== undefined) {
    const bytes = await own.readAll(manifestName, manifestBytesMax);
    const id = sha256Hex(bytes);
    return { store: flatten(own), snapshot: { id, bytes, manifest: parseManifest(bytes, id) } };
  }
  const holdsSnapshots = (await own.list('snapshots')).length > 0;
  await own.close();
  if (!holdsSnapshots) {
    const message = `import: ${folder} holds no exported snapshot and is no data set of a store`;
    throw new LogitcaskError('source-unreadable', message, { expected: manifestName, got: 'none' });
  }
  const store = await openStore(dirname(folder));
  return { store, snapshot: await resolveSnapshot(store, basename(folder), ref) };
}
