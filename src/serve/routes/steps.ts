/**
 * GET /v1/plans/{plan}/epochs/{e}/steps/{s}: one batch, whole, with a length: the unit of retry.
 */
import { type BatchRequest, batchRequest } from '../../../schemas/batch.ts';
import { stepParams } from '../../../schemas/http.ts';
import { sha256Hex } from '../../formats/canonical.ts';
import { createAhead } from '../ahead.ts';
import { buildStream } from '../batch.ts';
import { isFresh } from '../http-cache.ts';
import { layouts } from '../layouts/table.ts';
import { arrowType, negotiateArrow } from '../negotiate.ts';
import { oncePerQuery } from '../queries.ts';
import { sendBody } from '../replies.ts';
import { createClock } from '../server-timing.ts';
import { placeOf, readersOf } from '../sources.ts';
import { version } from '../version.ts';
import type { Route } from './route.ts';

const queryText = oncePerQuery((query: BatchRequest) => JSON.stringify(query));

export const steps: Route = (server, context) => {
  const ahead = createAhead();
  server.get(
    '/v1/plans/:plan/epochs/:epoch/steps/:step',
    { config: { scope: 'read' }, schema: { params: stepParams, querystring: batchRequest } },
    async (request, reply) => {
      const clock = createClock();
      const { params, query } = request;
      const accepted = negotiateArrow(request.headers.accept);
      const compression = layouts[query.layout].compressed ? undefined : accepted;
      const plan = await context.plan(params.plan);
      const { epoch, step } = params;
      const asked = { ...query, epoch, step };
      const rows = await ahead.samples(plan, asked);
      const readers = await readersOf(context, plan, query);
      const snapshot = readers.map(({ id }) => id).join();
      const all = [version, plan.id, epoch, step, queryText(query), snapshot, compression].join(
        ' ',
      );
      if (isFresh(request, reply, { etag: `"${sha256Hex(all).slice(0, 32)}"` })) {
        return reply.code(304).send();
      }
      reply.type(arrowType);
      const prepared = context.prepared(readers, query);
      clock.lap('plan');
      const share = await context.replies.enter();
      clock.lap('wait');
      try {
        if (reply.sent || reply.raw.destroyed) {
          share.release(); // the client left, or was told, while this one waited
          return reply;
        }
        const place = placeOf(plan, query, { epoch, step });
        const body = await buildStream(context, { prepared, rows, compression, place });
        clock.lap('encode', { read: body.readMs });
        reply.header('server-timing', clock.toString());
        if (request.method !== 'HEAD') context.meters.send(query.layout, body);
        sendBody(request, reply, { body, share, replies: context.replies });
        ahead.prepareNext(context, { plan, prepared, asked });
        return reply;
      } catch (error) {
        share.release();
        throw error;
      }
    },
  );
};
