/**
 * POST /v1/plans, GET /v1/plans/{plan}: the order of an epoch, made once and named by its digest.
 */

import { planParams } from '../../../schemas/http.ts';
import { planReply, planRequest } from '../../../schemas/plan.ts';
import { makePlan, planReply as replyOf } from '../../plan/plan.ts';
import { writePlan } from '../../plan/stored.ts';
import { resolveSnapshot } from '../../shard/snapshot.ts';
import { isFresh } from '../http-cache.ts';
import type { Route } from './route.ts';

export const plans: Route = (server, context) => {
  const { store } = context;
  server.post(
    '/v1/plans',
    {
      config: { scope: 'read' },
      schema: { body: planRequest, response: { 200: planReply, 201: planReply } },
    },
    async (request, reply) => {
      const streams = await Promise.all(
        request.body.streams.map(async ({ dataset, snapshot }) => {
          const { id, manifest } = await resolveSnapshot(store, dataset, snapshot);
          const { content_id: contentId, totals } = manifest;
          return { dataset, snapshot: id, contentId, samples: totals.samples };
        }),
      );
      const plan = makePlan(request.body, streams);
      const created = await writePlan(store, plan);
      return reply.code(created ? 201 : 200).send(replyOf(plan));
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
