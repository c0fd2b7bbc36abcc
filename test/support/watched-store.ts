/** A store whose positional reads pass through the test's hands. */
import type { Store } from '../../src/store/store.ts';

/** `before` runs, and may fail or take its time, before each read. */
export function watchedStore(store: Store, before: () => void | Promise<void>): Store {
  return {
    ...store,
    url: store.url,
    read: async (...range) => {
      await before();
      return store.read(...range);
    },
    readAll: (...file) => store.readAll(...file),
    size: (name) => store.size(name),
    list: (folder) => store.list(folder),
    write: (...file) => store.write(...file),
  };
}
