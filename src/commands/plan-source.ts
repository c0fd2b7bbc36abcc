/** Where a plan lives: in a store at hand, or behind a server. */
import type { OrderDigest, PlanReply, PlanRequest } from '../../schemas/plan.ts';
import { openClient } from '../client/client.ts';
import { openPlan } from '../plan/open-plan.ts';
import { planReply } from '../plan/plan.ts';
import { readPlan, writePlan } from '../plan/stored.ts';
import { createPlanMaker } from '../serve/make-plan.ts';
import { orderDigest } from '../serve/order-digest.ts';
import { openSnapshot } from '../shard/open-snapshot.ts';
import type { Store } from '../store/store.ts';
import { type CommandContext, withStore } from './command.ts';

export interface PlanSource {
  make(request: PlanRequest): Promise<PlanReply>;
  show(id: string): Promise<PlanReply>;
  /** Digest of the order of steps [from, to), all ranks. */
  digest(id: string, range: { epoch: number; from: number; to: number }): Promise<OrderDigest>;
}

export interface PlanPlace {
  readonly url?: string;
  readonly store?: string;
}

export async function withPlans<T>(
  context: CommandContext,
  { url, store }: PlanPlace,
  use: (plans: PlanSource) => Promise<T>,
): Promise<T> {
  if (url === undefined) return withStore(context, { store }, (open) => use(inStore(open)));
  const client = openClient({ url, token: context.token });
  try {
    return await use({
      make: (request) => client.createPlan(request),
      show: (id) => client.plan(id),
      digest: (plan, range) => client.digest({ plan, ...range }),
    });
  } finally {
    client.close();
  }
}

function inStore(store: Store): PlanSource {
  const maker = createPlanMaker(store, { samplesMax: Number.POSITIVE_INFINITY });
  const open = async (id: string) =>
    openPlan(await readPlan(store, id), { store, orders: new Map() });
  return {
    async make(request) {
      const plan = await maker.make(request);
      await writePlan(store, plan);
      return planReply(plan);
    },
    show: async (id) => planReply(await readPlan(store, id)),
    async digest(id, { epoch, from, to }) {
      const plan = await open(id);
      const readers = await Promise.all(
        plan.plan.streams.map((stream) => openSnapshot(store, stream)),
      );
      const range = { epoch, from, to, rank: 0, world: 1, replicate: 1 };
      const digest = orderDigest(plan, range, { readers, rowsMax: Number.POSITIVE_INFINITY });
      return digest.finally(() => Promise.all(readers.map((reader) => reader.close())));
    },
  };
}
