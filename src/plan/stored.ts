/** Plans in a store: written before they are answered, so that any replica can serve them. */
import { type StoredPlan, storedPlan } from '../../schemas/plan.ts';
import { LogitcaskError } from '../errors.ts';
import { canonicalJson } from '../formats/canonical.ts';
import type { OrderStore } from './order-store.ts';
import { planId } from './plan.ts';

const planBytesMax = 1024 * 1024;
const digest = /^[0-9a-f]{64}$/;
const pathOf = (id: string) => `plans/${id}.json`;

/** Filters and packs are named by the digest of what they are computed from. */
export const filterPath = (name: string) => `plans/${name}.filter`;
export const packingPath = (name: string) => `plans/${name}.packing`;

/** Writes a plan; true where it is new. */
export async function writePlan(store: OrderStore, plan: StoredPlan): Promise<boolean> {
  const path = pathOf(planId(plan.identity));
  if ((await store.size(path)) !== undefined) return false;
  await store.write(path, Buffer.from(canonicalJson({ ...plan, created_ms: Date.now() })));
  return true;
}

/** Ids of the store's plans, ascending. */
export async function listPlans(store: OrderStore): Promise<string[]> {
  const names = (await store.list('plans')).map((name) => /^([0-9a-f]{64})\.json$/.exec(name)?.[1]);
  return names.filter((id) => id !== undefined);
}

/** Throws `plan-not-found`. */
export async function readPlan(store: OrderStore, id: string): Promise<StoredPlan> {
  if (!digest.test(id) || (await store.size(pathOf(id))) === undefined) {
    throw new LogitcaskError('plan-not-found', `plan: there is no plan ${id}; POST it first`, {
      got: id,
    });
  }
  const parsed = storedPlan.parse(
    JSON.parse((await store.readAll(pathOf(id), planBytesMax)).toString()),
  );
  if (planId(parsed.identity) !== id) {
    throw new LogitcaskError('conflict', `plan: the stored plan ${id} has another digest`, {
      expected: id,
      got: planId(parsed.identity),
    });
  }
  return parsed;
}
