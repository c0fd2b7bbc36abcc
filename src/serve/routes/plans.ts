/**
 * GET, POST /v1/plans, GET /v1/plans/{plan}: the order of an epoch, made once and named by its
 * digest.
 */

import { listQuery, planParams } from '../../../schemas/http.ts';
import {
  type PlanList,
  planList,
  planReply,
  planRequest,
  type StoredPlan,
} from '../../../schemas/plan.ts';
import { planReply as replyOf } from '../../plan/plan.ts';
import { listPlans, readPlan, writePlan } from '../../plan/stored.ts';
import { isFresh } from '../http-cache.ts';
import { createPlanMaker } from '../make-plan.ts';
import type { Route } from './route.ts';

export const plans: Route = (server, context) => {
  const { store, config } = context;
  const maker = createPlanMaker(store, { samplesMax: config.limits.plan_samples_max });
  server.post(
    '/v1/plans',
    {
      config: { scope: 'read' },
      schema: { body: planRequest, response: { 200: planReply, 201: planReply } },
    },
    async (request, reply) => {
      const plan = await maker.make(request.body);
      const created = await writePlan(store, plan);
      return reply.code(created ? 201 : 200).send(replyOf(plan));
    },
  );
  server.get(
    '/v1/plans',
    {
      config: { scope: 'read' },
      schema: { querystring: listQuery, response: { 200: planList } },
    },
    async (request, reply) => {
      const { cursor, limit } = request.query;
      const ids = (await listPlans(store)).filter((id) => !cursor || id > cursor);
      const page = ids.slice(0, limit);
      reply.header('cache-control', 'no-cache');
      return {
        plans: await Promise.all(page.map(async (id) => glance(await readPlan(store, id)))),
        next: ids.length > limit ? (page.at(-1) ?? null) : null,
      };
    },
  );
  server.get(
    '/v1/plans/:plan',
    { config: { scope: 'read' }, schema: { params: planParams } },
    async (request, reply) => {
      const { id, plan } = await context.plan(request.params.plan);
      if (isFresh(request, reply, { etag: `"${id}"` })) return reply.code(304).send();
      return reply.send(replyOf(plan));
    },
  );
};

function glance(stored: StoredPlan): PlanList['plans'][number] {
  const { plan, identity, streams, steps_per_epoch, items_per_epoch } = replyOf(stored);
  const { global_batch, seed, shuffle } = identity;
  return {
    plan,
    streams: streams.map(({ dataset, snapshot, samples }) => ({ dataset, snapshot, samples })),
    global_batch,
    seed,
    shuffle,
    steps_per_epoch,
    items_per_epoch,
    created_ms: stored.created_ms,
  };
}
