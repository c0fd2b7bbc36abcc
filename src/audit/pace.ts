/** Limits how fast all threads of a pass read together: each piece waits for its place in time. */
import { setTimeout as sleep } from 'node:timers/promises';

/** Plain data; the memory is shared by the threads. */
export interface PaceShare {
  readonly bytesPerSecondMax: number;
  /** Microseconds of the process's clock at which the next piece may be read. */
  readonly next: BigInt64Array;
}

export interface Clock {
  /** Milliseconds, the same in every thread. */
  now(): number;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Resolves when so many bytes may be read. */
export type Pace = (bytes: number, signal?: AbortSignal) => Promise<void>;

export const processClock: Clock = {
  now: () => {
    const [seconds, nanoseconds] = process.hrtime();
    return seconds * 1000 + nanoseconds / 1e6;
  },
  sleep: async (ms, signal) => {
    await sleep(ms, undefined, { signal }).catch(() => {}); // the reader looks at the signal itself
  },
};

export function sharedPace(bytesPerSecondMax: number): PaceShare {
  return { bytesPerSecondMax, next: new BigInt64Array(new SharedArrayBuffer(8)) };
}

/** No limit where there is no share. */
export function paceOf(share: PaceShare | undefined, clock = processClock): Pace {
  if (share === undefined) return async () => {};
  const { bytesPerSecondMax, next } = share;
  return async (bytes, signal) => {
    const cost = BigInt(Math.ceil((bytes / bytesPerSecondMax) * 1e6));
    const now = BigInt(Math.floor(clock.now() * 1000));
    for (;;) {
      const free = Atomics.load(next, 0);
      const start = free > now ? free : now;
      if (Atomics.compareExchange(next, 0, free, start + cost) !== free) continue;
      if (start > now) await clock.sleep(Number(start - now) / 1000, signal);
      return;
    }
  };
}
