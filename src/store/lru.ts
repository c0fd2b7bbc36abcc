/** Least-recently-used values under one limit, by cost; evicted values are handed to `drop`. */

export interface Lru<V> {
  get(key: string): V | undefined;
  set(key: string, value: V, cost: number): void;
  delete(key: string): void;
  clear(): void;
}

/** In a ring from the least to the most recent: to look a value up makes no garbage. */
interface Entry<V> {
  readonly key: string;
  value: V;
  cost: number;
  older: Entry<V>;
  newer: Entry<V>;
}

export function createLru<V>(costMax: number, drop: (value: V) => void = () => {}): Lru<V> {
  const entries = new Map<string, Entry<V>>();
  let newest: Entry<V> | undefined;
  let total = 0;
  const unlink = (entry: Entry<V>) => {
    if (entry === newest) newest = entry.older === entry ? undefined : entry.older;
    entry.older.newer = entry.newer;
    entry.newer.older = entry.older;
  };
  const link = (entry: Entry<V>) => {
    entry.older = newest ?? entry;
    entry.newer = newest?.newer ?? entry;
    entry.older.newer = entry;
    entry.newer.older = entry;
    newest = entry;
  };
  const touch = (entry: Entry<V>) => {
    if (entry === newest) return;
    unlink(entry);
    link(entry);
  };
  const remove = (key: string) => {
    const entry = entries.get(key);
    if (entry === undefined) return;
    entries.delete(key);
    unlink(entry);
    total -= entry.cost;
    drop(entry.value);
  };
  return {
    get(key) {
      const entry = entries.get(key);
      if (entry === undefined) return undefined;
      touch(entry);
      return entry.value;
    },
    set(key, value, cost) {
      const known = entries.get(key);
      if (known === undefined) {
        const entry = { key, value, cost } as Entry<V>;
        entries.set(key, entry);
        link(entry);
      } else {
        touch(known);
        total -= known.cost;
        const old = known.value;
        Object.assign(known, { value, cost });
        if (old !== value) drop(old);
      }
      total += cost;
      while (newest !== undefined && total > costMax && newest.newer !== newest) {
        remove(newest.newer.key);
      }
    },
    delete: remove,
    clear() {
      while (newest !== undefined) remove(newest.newer.key);
    },
  };
}
