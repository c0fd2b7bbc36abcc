/** A store in a temporary folder, new for each test of a file. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { openFileStore } from '../../src/store/file.ts';
import type { Store } from '../../src/store/store.ts';

export interface TemporaryStore {
  folder: string;
  store: Store;
  /** Path of a stored file. */
  path(name: string): string;
}

export function useStore(): TemporaryStore {
  const temporary = { path: (name: string) => join(temporary.folder, name) } as TemporaryStore;
  beforeEach(async () => {
    temporary.folder = mkdtempSync(join(tmpdir(), 'logitcask-test-'));
    temporary.store = await openFileStore(temporary.folder);
  });
  afterEach(async () => {
    await temporary.store.close();
    rmSync(temporary.folder, { recursive: true });
  });
  return temporary;
}
