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

/** A whole store that says what is read of it. */
export function namingStore(store: Store, reads: (name: string, offset: number) => void): Store {
  return new Proxy(store, {
    get(own, key) {
      const value = Reflect.get(own, key);
      if (typeof value !== 'function') return value;
      return (...given: unknown[]) => {
        if (typeof key === 'string' && key.startsWith('read'))
          reads(String(given[0]), Number(given[1] ?? 0));
        return value.apply(own, given);
      };
    },
  });
}
