/** Files of a data set that nothing names any more: they cost room, and are never removed here. */
import type { Manifest } from '../../schemas/manifest.ts';
import { filePath, filesFolder, imagesFolder, locksFolder, partsFolder } from '../shard/names.ts';
import { listSnapshots, readBuildStatus, resolveSnapshot } from '../shard/snapshot.ts';
import { findImage, imagesIndex, storedImages } from '../shard/stored-images.ts';
import type { Store } from '../store/store.ts';
import { digestFile } from './digests.ts';

export interface Orphan {
  readonly path: string;
  readonly bytes: number;
}

/**
 * Files, parts and images that no snapshot of the data set names, and that no build which runs, or
 * holds its lock, has written. Throws `manifest-invalid`: without every manifest nothing can be
 * told.
 */
export async function findOrphans(store: Store, dataset: string): Promise<Orphan[]> {
  // what is there now: a snapshot that is completed meanwhile names files that are listed already
  const files = new Set(await store.list(filesFolder(dataset)));
  const parts = await store.list(partsFolder(dataset));
  const images = await imagesByFolder(store, dataset);
  const builds = await runningBuilds(store, dataset);
  const storing: Manifest[] = [];
  for (const id of await listSnapshots(store, dataset)) {
    const { manifest } = await resolveSnapshot(store, dataset, id);
    for (const { name } of manifest.files) files.delete(name);
    if (manifest.images !== undefined) storing.push(manifest);
  }
  const isRunning = (name: string) => builds.some((build) => name.startsWith(`${build}-`));
  const paths = [
    ...[...files].filter((name) => !isRunning(name)).map((n) => `${filesFolder(dataset)}/${n}`),
    ...parts.filter((name) => !isRunning(name)).map((n) => `${partsFolder(dataset)}/${n}`),
    // whose an image is cannot be told before its build is complete
    ...(builds.length > 0 ? [] : await unnamedImages(store, { dataset, images, storing })),
  ];
  const found: Orphan[] = [];
  for (const path of paths) {
    const bytes = await store.size(path);
    if (bytes !== undefined) found.push({ path, bytes });
  }
  return found.sort((a, b) => b.bytes - a.bytes || (a.path < b.path ? -1 : 1));
}

async function imagesByFolder(store: Store, dataset: string): Promise<Map<string, Set<string>>> {
  const found = new Map<string, Set<string>>();
  for (const folder of await store.list(imagesFolder(dataset))) {
    found.set(folder, new Set(await store.list(`${imagesFolder(dataset)}/${folder}`)));
  }
  return found;
}

interface Images {
  readonly dataset: string;
  readonly images: ReadonlyMap<string, Set<string>>;
  /** Snapshots that store images. */
  readonly storing: readonly Manifest[];
}

/** None where an index of images is damaged, or gone: what it named cannot be told. */
async function unnamedImages(
  store: Store,
  { dataset, images, storing }: Images,
): Promise<string[]> {
  for (const manifest of storing) {
    const file = imagesIndex(manifest);
    const digest = file && (await digestFile(store, filePath(dataset, file.name)));
    if (digest?.toString('hex') !== file?.sha256) return [];
    for (const [folder, names] of images) {
      const { before } = await findImage(store, manifest, folder.padEnd(64, '0'));
      for await (const { sha256 } of storedImages(store, manifest, before)) {
        if (!sha256.startsWith(folder)) break;
        names.delete(sha256);
      }
    }
  }
  return [...images].flatMap(([folder, names]) =>
    [...names].map((name) => `${imagesFolder(dataset)}/${folder}/${name}`),
  );
}

/** Names of builds; audits hold locks of their own, and write nothing that is looked at here. */
async function runningBuilds(store: Store, dataset: string): Promise<string[]> {
  const statuses = await readBuildStatus(store, dataset);
  const running = statuses.filter(({ state }) => state === 'running').map(({ build }) => build);
  const locks = await store.list(locksFolder(dataset));
  return [...running, ...locks.filter((name) => !name.startsWith('audit-'))];
}
