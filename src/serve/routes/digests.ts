/** GET /v1/plans/{plan}/epochs/{e}/digest: proof of the order of steps, for any rank and world. */
import { epochParams } from '../../../schemas/http.ts';
import { orderDigest, orderDigestQuery } from '../../../schemas/plan.ts';
import { orderDigest as digestOrder } from '../order-digest.ts';
import type { Route } from './route.ts';

const rowsMax = 4 * 1024 * 1024;

export const digests: Route = (server, context) => {
  server.get(
    '/v1/plans/:plan/epochs/:epoch/digest',
    {
      config: { scope: 'read' },
      schema: {
        params: epochParams,
        querystring: orderDigestQuery,
        response: { 200: orderDigest },
      },
    },
    async (request) => {
      const { params, query } = request;
      const plan = await context.plan(params.plan);
      const { streams } = plan.plan;
      const readers = await Promise.all(
        streams.map(({ dataset, snapshot }) => context.snapshot(dataset, snapshot)),
      );
      const range = { ...query, epoch: params.epoch, to: query.to ?? plan.steps };
      return digestOrder(plan, range, { readers, rowsMax });
    },
  );
};
