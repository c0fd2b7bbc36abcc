/** A bounded number of things at a time, first come, first served. */

export interface Turns {
  take<T>(work: () => Promise<T>): Promise<T>;
}

export function createTurns(max: number): Turns {
  const waiting: (() => void)[] = [];
  let running = 0;
  return {
    async take(work) {
      if (running >= max) await new Promise<void>((resolve) => waiting.push(resolve));
      else running++;
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
