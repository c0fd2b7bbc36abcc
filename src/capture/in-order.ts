/** Work done by several at a time whose results come in the order of the items. */

export interface Window {
  /** How many are under way at most, now. */
  readonly limit: number;
  /** After a success; after the server said that it is too much. */
  grow(): void;
  shrink(): void;
}

/** Additive increase, multiplicative decrease: finds what a server takes, and goes on looking. */
export function createWindow(max: number, start = Math.min(4, max)): Window {
  let limit = start;
  let successes = 0;
  return {
    get limit() {
      return limit;
    },
    grow() {
      if (++successes < limit) return;
      successes = 0;
      limit = Math.min(max, limit + 1);
    },
    shrink() {
      successes = 0;
      limit = Math.max(1, Math.floor(limit / 2));
    },
  };
}

/**
 * Begins `work` on items ahead of the one that is given out next; results wait for their turn, so
 * that at most `window.limit` items are in memory.
 */
export async function* inOrder<T, R>(
  items: AsyncIterable<T>,
  work: (item: T) => Promise<R>,
  window: Window,
): AsyncGenerator<R> {
  const begun: Promise<R>[] = [];
  const iterator = items[Symbol.asyncIterator]();
  let ended = false;
  try {
    for (;;) {
      while (!ended && begun.length < window.limit) {
        const { done, value } = await iterator.next();
        if (done === true) ended = true;
        else {
          const result = work(value);
          result.catch(() => {}); // thrown where it is awaited
          begun.push(result);
        }
      }
      const first = begun.shift();
      if (first === undefined) return;
      yield await first;
    }
  } finally {
    await iterator.return?.();
    await Promise.allSettled(begun);
  }
}
