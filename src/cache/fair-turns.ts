/** A bounded number of things at a time; those who ask for many do not keep others waiting. */
import { LogitcaskError } from '../errors.ts';

export interface FairTurns {
  /** Things that wait. */
  readonly waiting: number;
  /** Clients take turns; a client's own things keep their order. Throws `too-many-requests`. */
  take<T>(client: unknown, work: () => Promise<T>): Promise<T>;
}

export interface FairTurnsOptions {
  /** At a time; may change. */
  readonly limit: () => number;
  readonly waitingMax: number;
}

export function createFairTurns({ limit, waitingMax }: FairTurnsOptions): FairTurns {
  /** In the order of their turns: the first is next, and then goes to the end. */
  const queues = new Map<unknown, (() => void)[]>();
  let waiting = 0;
  let running = 0;
  const begin = () => {
    while (running < limit()) {
      const [client, queue] = queues.entries().next().value ?? [];
      const start = queue?.shift();
      if (queue === undefined || start === undefined) return;
      queues.delete(client);
      if (queue.length > 0) queues.set(client, queue);
      waiting--;
      running++;
      start();
    }
  };
  return {
    get waiting() {
      return waiting;
    },
    async take(client, work) {
      if (waiting >= waitingMax) {
        const message = `score: ${waiting} sequences wait for the teacher already; ask again later`;
        const details = { expected: `at most ${waitingMax}`, got: waiting };
        throw new LogitcaskError('too-many-requests', message, details);
      }
      await new Promise<void>((resolve) => {
        const queue = queues.get(client) ?? [];
        queues.set(client, queue);
        queue.push(resolve);
        waiting++;
        begin();
      });
      try {
        return await work();
      } finally {
        running--;
        begin();
      }
    },
  };
}
