/**
 * Least-recently-used values under one limit, by cost; evicted values are handed to `drop`. A
 * linked list says what is the oldest: in a Map it would cost a removal and an insertion a look-up,
 * whose tables outlive many collections of garbage.
 */

export interface Lru<V> {
  get(key: string): V | undefined;
  set(key: string, value: V, cost: number): void;
  delete(key: string): void;
  clear(): void;
  /** Of all that is kept. */
  readonly cost: number;
}

interface Entry<V> {
  readonly key: string;
  readonly value: V;
  readonly cost: number;
  older: Entry<V> | undefined;
  newer: Entry<V> | undefined;
}

export function createLru<V>(costMax: number, drop: (value: V) => void = () => {}): Lru<V> {
  const entries = new Map<string, Entry<V>>();
  let total = 0;
  let oldest: Entry<V> | undefined;
  let newest: Entry<V> | undefined;
  const unlink = (entry: Entry<V>) => {
    const { older, newer } = entry;
    if (older === undefined) oldest = newer;
    else older.newer = newer;
    if (newer === undefined) newest = older;
    else newer.older = older;
    entry.older = undefined;
    entry.newer = undefined;
  };
  const link = (entry: Entry<V>) => {
    entry.older = newest;
    if (newest === undefined) oldest = entry;
    else newest.newer = entry;
    newest = entry;
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
      if (entry !== newest) {
        unlink(entry);
        link(entry);
      }
      return entry.value;
    },
    set(key, value, cost) {
      remove(key);
      const entry = { key, value, cost, older: undefined, newer: undefined };
      entries.set(key, entry);
      link(entry);
      total += cost;
      while (total > costMax && oldest !== undefined && oldest !== entry) remove(oldest.key);
    },
    delete: remove,
    get cost() {
      return total;
    },
    clear() {
      while (oldest !== undefined) remove(oldest.key);
    },
  };
}
