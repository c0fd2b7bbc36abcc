/** A build that is done already: it is found again instead of made again. */
import { readBuildStatus, resolveSnapshot } from '../shard/snapshot.ts';
import type { Store } from '../store/store.ts';
import type { ChosenConfig } from './rules.ts';
import { restoreImages, storesImages } from './store-images.ts';

interface Named {
  readonly config: ChosenConfig;
  readonly store: Store;
  readonly build: string;
}

/** A complete build of the same name, provided that the tag can simply point at it. */
export async function reuse({ config, store, build }: Named) {
  const statuses = await readBuildStatus(store, config.dataset);
  const done = statuses.find((status) => status.build === build && status.state === 'complete');
  if (done?.snapshot == null) return undefined;
  const found = await resolveSnapshot(store, config.dataset, done.snapshot);
  const { id, manifest } = found;
  if (storesImages(config)) await restoreImages(store, found);
  await store.write(`${config.dataset}/tags/${config.tag}`, Buffer.from(`${id}\n`));
  return { snapshot: id, manifest, reused: true, resumedSamples: 0, positions: 0 };
}
