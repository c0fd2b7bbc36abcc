/** Work done by several at a time whose results come in the order of the items. */

export interface Window {
  /** How many are under way at most, now. */
  readonly limit: number;
  /** Does work once fewer than `limit` are under way. */
  turn<T>(work: () => Promise<T>): Promise<T>;
  /** After a success; after the server said that it is too much. */
  grow(): void;
  shrink(): void;
}

/**
 * Additive increase, multiplicative decrease: finds what a server takes, and goes on looking. All
 * that were under way when it was too much count as one.
 */
export function createWindow(max: number, start = Math.min(4, max)): Window {
  let limit = start;
  let successes = 0;
  let underWay = 0;
  /** Answers to come that were asked for at the limit before. */
  let old = 0;
  const waiting: (() => void)[] = [];
  const admit = () => {
    while (underWay < limit && waiting.length > 0) {
      underWay++;
      waiting.shift()?.();
    }
  };
  return {
    get limit() {
      return limit;
    },
    async turn(work) {
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        admit();
      });
      try {
        return await work();
      } finally {
        underWay--;
        admit();
      }
    },
    grow() {
      if (old > 0) old--;
      if (++successes < limit) return;
      successes = 0;
      limit = Math.min(max, limit + 1);
      admit();
    },
    shrink() {
      successes = 0;
      if (old > 0) old--;
      else {
        old = underWay - 1;
        limit = Math.max(1, Math.floor(limit / 2));
      }
    },
  };
}

/** Results that wait for their turn, as many as are under way: one slow item stops no others. */
const ahead = 2;

/**
 * Begins `work` on items ahead of the one that is given out next, `window.limit` at a time; at most
 * twice as many items are in memory. Left early, it waits for those under way.
 */
export async function* inOrder<T, R>(
  items: AsyncIterable<T>,
  work: (item: T) => Promise<R>,
  window: Window,
): AsyncGenerator<R> {
  const begun: Promise<R>[] = [];
  const iterator = items[Symbol.asyncIterator]();
  let ended = false;
  let left = false;
  try {
    for (;;) {
      while (!ended && begun.length < ahead * window.limit) {
        const { done, value } = await iterator.next();
        if (done === true) ended = true;
        else {
          const result = window.turn(async () => {
            if (left) throw new Error('left before its turn');
            return await work(value);
          });
          result.catch(() => {}); // thrown where it is awaited
          begun.push(result);
        }
      }
      const first = begun.shift();
      if (first === undefined) return;
      yield await first;
    }
  } finally {
    left = true;
    await iterator.return?.();
    await Promise.allSettled(begun);
  }
}
