/**
 * A bounded number of calls at a time, each with what waits for its turn; those who ask for many
 * do not keep others waiting.
 */
import { LogitcaskError } from '../errors.ts';

export interface FairTurns<T, R> {
  /** Items that wait. */
  readonly waiting: number;
  /** Clients take turns; a client's own items keep their order. Throws `too-many-requests`. */
  take(client: unknown, item: T): Promise<R>;
}

export interface FairTurnsOptions<T, R> {
  /** Calls at a time; may change. */
  readonly limit: () => number;
  readonly waitingMax: number;
  /** Whether a call for these takes this one along. */
  readonly fits: (items: readonly T[], item: T) => boolean;
  /** A result for each; does not fail. */
  readonly call: (items: readonly T[]) => Promise<PromiseSettledResult<R>[]>;
}

interface Waiting<T, R> {
  readonly item: T;
  settle(result: PromiseSettledResult<R>): void;
}

export function createFairTurns<T, R>({
  limit,
  waitingMax,
  fits,
  call,
}: FairTurnsOptions<T, R>): FairTurns<T, R> {
  /** In the order of their turns: the first is next, and then goes to the end. */
  const queues = new Map<unknown, Waiting<T, R>[]>();
  let waiting = 0;
  let running = 0;
  const next = (taken: readonly Waiting<T, R>[]) => {
    const [client, queue] = queues.entries().next().value ?? [];
    if (queue === undefined) return undefined;
    const items = taken.map(({ item }) => item);
    if (items.length > 0 && !fits(items, queue[0].item)) return undefined;
    const first = queue.shift();
    queues.delete(client);
    if (queue.length > 0) queues.set(client, queue);
    waiting--;
    return first;
  };
  const begin = () => {
    while (running < limit() && waiting > 0) {
      const share = Math.ceil(waiting / limit()); // the calls to come have theirs
      const taken: Waiting<T, R>[] = [];
      while (taken.length < share) {
        const one = next(taken);
        if (one === undefined) break;
        taken.push(one);
      }
      running++;
      void run(taken);
    }
  };
  const run = async (taken: readonly Waiting<T, R>[]) => {
    const results = await call(taken.map(({ item }) => item));
    running--;
    for (const [i, { settle }] of taken.entries()) settle(results[i]);
    begin();
  };
  return {
    get waiting() {
      return waiting;
    },
    async take(client, item) {
      if (waiting >= waitingMax) {
        const message = `score: ${waiting} sequences wait for the teacher already; ask again later`;
        const details = { expected: `at most ${waitingMax}`, got: waiting };
        throw new LogitcaskError('too-many-requests', message, details);
      }
      return new Promise<R>((resolve, reject) => {
        const settle = (result: PromiseSettledResult<R>) =>
          result.status === 'fulfilled' ? resolve(result.value) : reject(result.reason);
        const queue = queues.get(client) ?? [];
        queues.set(client, queue);
        queue.push({ item, settle });
        waiting++;
        begin();
      });
    },
  };
}
