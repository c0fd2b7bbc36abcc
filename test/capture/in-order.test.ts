import { setTimeout as wait } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createWindow, inOrder } from '../../src/capture/in-order.ts';

async function* counted(count: number, onRead?: (i: number) => void): AsyncGenerator<number> {
  for (let i = 0; i < count; i++) {
    onRead?.(i);
    yield i;
  }
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

describe('work in order', () => {
  it('gives every result once and in order, `limit` at a time, and reads at most twice as far', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(4), { maxLength: 40 }),
        fc.integer({ min: 1, max: 6 }),
        async (delays, limit) => {
          const window = createWindow(limit, limit);
          let [underWay, given, read] = [0, 0, 0];
          const work = async (i: number) => {
            expect(++underWay).toBeLessThanOrEqual(limit);
            expect(read - given).toBeLessThanOrEqual(2 * limit + 1);
            await wait(delays[i]);
            underWay--;
            return i;
          };
          const items = counted(delays.length, () => read++);
          for await (const i of inOrder(items, work, window)) expect(i).toBe(given++);
          expect(given).toBe(delays.length);
        },
      ),
      { numRuns: 20 },
    );
  });

  it('goes on behind one that takes long', async () => {
    const ended: number[] = [];
    let release = () => {};
    const work = async (i: number) => {
      if (i === 0) await new Promise<void>((resolve) => (release = resolve));
      ended.push(i);
      if (i === 3) release();
      return i;
    };
    expect(await all(inOrder(counted(4), work, createWindow(2, 2)))).toEqual([0, 1, 2, 3]);
    expect(ended).toEqual([1, 2, 3, 0]);
  });

  it('throws what work throws in its turn, and begins nothing that still waits', async () => {
    const begun: number[] = [];
    const given: number[] = [];
    const work = async (i: number) => {
      begun.push(i);
      await wait(i === 1 ? 20 : 1);
      if (i === 1) throw new Error('number 1');
      return i;
    };
    await expect(async () => {
      for await (const i of inOrder(counted(100), work, createWindow(2, 2))) given.push(i);
    }).rejects.toThrow('number 1');
    expect(given).toEqual([0]);
    expect(begun.length).toBeLessThan(8);
  });
});

describe('the window', () => {
  it('grows to its most while all goes well', async () => {
    const window = createWindow(16);
    expect(window.limit).toBe(4);
    for (let i = 0; i < 4; i++) window.grow();
    expect(window.limit).toBe(5);
    for (let i = 0; i < 1000; i++) window.grow();
    expect(window.limit).toBe(16);
  });

  it('halves once for all that were under way when it was too much', async () => {
    const window = createWindow(16, 16);
    const turns = Array.from({ length: 16 }, () => window.turn(async () => window.shrink()));
    await Promise.all(turns);
    expect(window.limit).toBe(8);
    window.shrink();
    expect(window.limit).toBe(4);
    for (let i = 0; i < 9; i++) window.shrink();
    expect(window.limit).toBe(1);
  });

  it('finds what a server takes, and stays near it', async () => {
    const takes = 6;
    const window = createWindow(64);
    let [underWay, refused, most] = [0, 0, 0];
    const work = async (i: number) => {
      for (;;) {
        const isTooMuch = ++underWay > takes;
        await wait(1);
        underWay--;
        if (!isTooMuch) break;
        refused++;
        window.shrink();
        await wait(1);
      }
      window.grow();
      if (i > 200) most = Math.max(most, window.limit);
      return i;
    };
    await all(inOrder(counted(600), work, window));
    expect(most).toBeGreaterThanOrEqual(takes - 1);
    expect(most).toBeLessThanOrEqual(2 * takes);
    expect(refused).toBeLessThan(200);
  });
});
