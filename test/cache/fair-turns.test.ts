import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFairTurns } from '../../src/cache/fair-turns.ts';

const tick = (ms = 0) => new Promise((resolve) => setTimeout(resolve, ms));

/** Calls by number of items; each item is answered with its square, odd multiples of 7 fail. */
function turnsOf({
  limit,
  most,
  pauses = [0],
}: {
  limit: number;
  most: number;
  pauses?: number[];
}) {
  const calls: number[][] = [];
  let running = 0;
  let runningMost = 0;
  const turns = createFairTurns<number, number>({
    limit: () => limit,
    waitingMax: 1000,
    fits: ({ length }) => length < most,
    async call(items) {
      runningMost = Math.max(runningMost, ++running);
      calls.push([...items]);
      await tick(pauses[calls.length % pauses.length]);
      running--;
      return Promise.allSettled(
        items.map(async (item) => {
          if (item % 7 === 0 && item % 2 === 1) throw new Error(`not ${item}`);
          return item * item;
        }),
      );
    },
  });
  return { turns, calls, runningMost: () => runningMost };
}

describe('turns of several clients', () => {
  it('gives each item its own result, in bounded calls, a client in its own order', async () => {
    const plan = fc.record({
      limit: fc.integer({ min: 1, max: 4 }),
      most: fc.integer({ min: 1, max: 5 }),
      pauses: fc.array(fc.nat(2), { minLength: 1, maxLength: 4 }),
      clients: fc.array(fc.nat(3), { minLength: 1, maxLength: 40 }),
    });
    await fc.assert(
      fc.asyncProperty(plan, async ({ clients, ...options }) => {
        const { turns, calls, runningMost } = turnsOf(options);
        const results = await Promise.allSettled(clients.map((client, i) => turns.take(client, i)));
        for (const [i, result] of results.entries()) {
          if (i % 7 === 0 && i % 2 === 1) expect(result.status).toBe('rejected');
          else expect(result).toEqual({ status: 'fulfilled', value: i * i });
        }
        expect(Math.max(...calls.map(({ length }) => length))).toBeLessThanOrEqual(options.most);
        expect(runningMost()).toBeLessThanOrEqual(options.limit);
        const begun = calls.flat();
        for (const client of new Set(clients)) {
          const own = begun.filter((item) => clients[item] === client);
          expect(own).toEqual([...own].sort((a, b) => a - b));
        }
        expect(turns.waiting).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('begins at once while calls are free, and shares what waits among the next ones', async () => {
    const { turns, calls } = turnsOf({ limit: 2, most: 10, pauses: [5] });
    await Promise.all(Array.from({ length: 10 }, (_, i) => turns.take('one', 2 * i)));
    expect(calls.slice(0, 3)).toEqual([[0], [2], [4, 6, 8, 10]]);
  });

  it('mixes clients in a call, so that one of many keeps no other waiting', async () => {
    const { turns, calls } = turnsOf({ limit: 1, most: 4 });
    const many = Array.from({ length: 30 }, (_, i) => turns.take('many', 2 * i));
    await Promise.all([...many, turns.take('single', 100)]);
    expect(calls[1]).toContain(100);
  });
});
