/** A bounded number of things at a time, first come, first served. */
import type { QueueLoad } from './queue-load.ts';

export interface Turns {
  take<T>(work: () => Promise<T>): Promise<T>;
  readonly load: QueueLoad;
}

export function createTurns(max: number): Turns {
  const waiting: (() => void)[] = [];
  let running = 0;
  let entered = 0;
  let waitedMs = 0;
  return {
    get load() {
      return { waiting: waiting.length, entered, waitedMs };
    },
    async take(work) {
      if (running >= max) {
        const since = performance.now();
        await new Promise<void>((resolve) => waiting.push(resolve));
        waitedMs += performance.now() - since;
      } else running++;
      entered++;
      try {
        return await work();
      } finally {
        const next = waiting.shift(); // takes over the place
        if (next === undefined) running--;
        else next();
      }
    },
  };
}
