/** A store and images of its own for each call, in a folder that goes with the tests of a file. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { build } from '../../src/build.ts';
import { imagePath } from '../../src/shard/names.ts';
import { openFileStore } from '../../src/store/file.ts';
import type { Store } from '../../src/store/store.ts';
import { configOf, random } from './dump.ts';
import { type ImageSample, writeImages } from './images.ts';

/** Bytes that only the seed decides. */
export function noise(seed: number, length = 300): Buffer {
  const next = random(seed);
  return Buffer.from(Uint8Array.from({ length }, () => 256 * next()));
}

export const unlike: ImageSample[] = [1, 2, 3].map((seed) => ({
  bytes: noise(seed),
  positions: 2,
}));

/** A store and images of its own; `dataset` is `mine` unless said otherwise. */
export function useImageStores() {
  const all = { folder: '' };
  let made = 0;
  beforeAll(() => {
    all.folder = mkdtempSync(join(tmpdir(), 'logitcask-images-'));
  });
  afterAll(() => rmSync(all.folder, { recursive: true }));
  const fresh = (samples: readonly ImageSample[] = unlike) =>
    imageStore(all.folder, { name: String(made++), samples });
  return Object.assign(all, { fresh });
}

function imageStore(
  folder: string,
  { name, samples }: { name: string; samples: readonly ImageSample[] },
) {
  const path = join(folder, name, 'store');
  const images = writeImages(folder, name, { samples });
  return {
    ...images,
    path,
    inStore: (sha256: string) => join(path, imagePath('mine', sha256)),
    build: (more: Record<string, unknown> = {}, source: Record<string, unknown> = {}) =>
      build(
        configOf({
          store: path,
          dataset: 'mine',
          source: { ...images.source, ...source },
          ...more,
        }),
        { dataFolder: 'data' },
      ),
    /** Runs with the store open. */
    async with<T>(action: (store: Store) => Promise<T>): Promise<T> {
      const store = await openFileStore(path);
      try {
        return await action(store);
      } finally {
        await store.close();
      }
    },
  };
}

/** Names of all files below the folder of images, hidden ones among them. */
export function stored(path: string): string[] {
  const found = readdirSync(join(path, 'mine', 'images'), { recursive: true, encoding: 'utf8' });
  return found.filter((name) => name.includes('/')).sort();
}

export const mine = { dataset: 'mine', snapshot: 'latest' };
