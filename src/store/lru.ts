/** Least-recently-used values under one limit, by cost; evicted values are handed to `drop`. */

export interface Lru<V> {
  get(key: string): V | undefined;
  set(key: string, value: V, cost: number): void;
  delete(key: string): void;
  clear(): void;
  /** Of all that is kept. */
  readonly cost: number;
}

export function createLru<V>(costMax: number, drop: (value: V) => void = () => {}): Lru<V> {
  const entries = new Map<string, { value: V; cost: number }>();
  let total = 0;
  const remove = (key: string) => {
    const entry = entries.get(key);
    if (entry === undefined) return;
    entries.delete(key);
    total -= entry.cost;
    drop(entry.value);
  };
  return {
    get(key) {
      const entry = entries.get(key);
      if (entry === undefined) return undefined;
      entries.delete(key); // a Map keeps insertion order: the last is the most recent
      entries.set(key, entry);
      return entry.value;
    },
    set(key, value, cost) {
      remove(key);
      entries.set(key, { value, cost });
      total += cost;
      for (const oldest of entries.keys()) {
        if (total <= costMax || oldest === key) break;
        remove(oldest);
      }
    },
    delete: remove,
    get cost() {
      return total;
    },
    clear() {
      for (const key of [...entries.keys()]) remove(key);
    },
  };
}
