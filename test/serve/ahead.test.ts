import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { OpenPlan } from '../../src/plan/open-plan.ts';
import { createAhead } from '../../src/serve/ahead.ts';
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

it('which samples the next step has is worked out once, for that rank and world', async () => {
  const worked: number[] = [];
  const samples = async ({ step }: { step: number }) => {
    worked.push(step);
    return { streams: [0], ordinals: [step], pad: new Uint8Array(1) };
  };
  const plan = { id: 'a', steps: 9, samples } as unknown as OpenPlan;
  const context = { ready: { get: async () => [] }, integrity: { refuseQuarantined() {} } };
  const prepared = { readers: [{}], view: { key: 'dense' } };
  const ahead = createAhead();
  const take = async (step: number, rank = 0) => {
    const asked = { epoch: 0, step, rank, world: 2, replicate: 1 };
    const { ordinals } = await ahead.samples(plan, asked);
    ahead.prepareNext(context as never, { plan, prepared, asked } as never);
    await wait(1);
    return ordinals;
  };
  expect([await take(3), await take(4), await take(5)]).toEqual([[3], [4], [5]]);
  expect(worked).toEqual([3, 4, 5, 6]);
  expect([await take(6, 1), await take(5), await take(6)]).toEqual([[6], [5], [6]]);
  expect(worked).toEqual([3, 4, 5, 6, 6, 5, 7]);
});
