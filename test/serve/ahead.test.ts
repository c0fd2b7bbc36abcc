import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ask, makeStore, postPlan, serve, type TestStore } from '../fixtures.ts';
import { watchedStore } from '../support/watched-store.ts';

let made: TestStore;
beforeAll(async () => {
  made = await makeStore();
});
afterAll(() => made.remove());

it('the next step of a rank that goes step by step is read before it is asked for', async () => {
  let stands = false;
  const released: (() => void)[] = [];
  const store = watchedStore(made.store, async () => {
    if (stands) await new Promise<void>((resolve) => released.push(resolve));
  });
  const server = await serve(store);
  const { plan } = (await postPlan(server.url, 'planes', { global_batch: 8 })).json();
  const take = (step: number) => ask(server.url, `/v1/plans/${plan}/epochs/0/steps/${step}`);
  await take(3);
  await take(4);
  await wait(300);
  stands = true;
  expect((await take(5)).status).toBe(200);
  const jump = take(9);
  expect(await Promise.race([jump, wait(300)])).toBeUndefined();
  stands = false;
  for (const release of released) release();
  expect((await jump).status).toBe(200);
  await server.close();
});
