import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makePlan, planId } from '../../src/plan/plan.ts';
import { listPlans, readPlan, writePlan } from '../../src/plan/stored.ts';
import type { Store } from '../../src/store/store.ts';
import { openStore } from '../../src/store/table.ts';
import { requestOf, streamOf } from '../support/plans.ts';

const request = requestOf(1);
const plan = makePlan(request, [streamOf(9)]);
const id = planId(plan.identity);

let folder = '';
let store: Store;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-plan-'));
  store = await openStore(folder);
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

describe('a stored plan', () => {
  it('is read back whole, and written once', async () => {
    expect(await writePlan(store, plan)).toBe(true);
    expect(await writePlan(store, plan)).toBe(false);
    const { created_ms, ...read } = await readPlan(store, id);
    expect(read).toEqual(plan);
    expect(Math.abs(Date.now() - (created_ms ?? 0))).toBeLessThan(60_000);
    expect(await listPlans(store)).toEqual([id]);
  });

  it('keeps the snapshot that it was first made for', async () => {
    await writePlan(store, plan);
    const later = makePlan(request, [
      { ...streamOf(9), dataset: 'other', snapshot: 'c'.repeat(64) },
    ]);
    expect(await writePlan(store, later)).toBe(false);
    expect((await readPlan(store, id)).streams[0].dataset).toBe('default');
  });

  it.each(['f'.repeat(64), 'latest', '../plans/x', ''])('is not found as %j', async (name) => {
    await expect(readPlan(store, name)).rejects.toMatchObject({ code: 'plan-not-found' });
  });

  it('is refused where it does not have the digest of its name', async () => {
    const altered = { ...plan, identity: { ...plan.identity, seed: '1' } };
    await store.write(`plans/${id}.json`, Buffer.from(JSON.stringify(altered)));
    await expect(readPlan(store, id)).rejects.toMatchObject({ code: 'conflict' });
  });
});
