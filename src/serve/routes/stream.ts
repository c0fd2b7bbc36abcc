/**
 * GET /v1/plans/{plan}/epochs/{e}/stream: many steps as one Arrow stream, a record batch each.
 */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { epochParams, streamQuery } from '../../../schemas/http.ts';
import { LogitcaskError } from '../../errors.ts';
import { streamEnd } from '../../formats/arrow-wire.ts';
import type { OpenPlan, StepRequest } from '../../plan/open-plan.ts';
import { type BatchOptions, buildBatch, typesOf } from '../batch.ts';
import type { ServeContext } from '../context.ts';
import { layouts } from '../layouts/table.ts';
import { faultOf } from '../log.ts';
import { headOf } from '../metadata.ts';
import { arrowType, negotiateArrow } from '../negotiate.ts';
import { joinSmall, startReply } from '../replies.ts';
import { createClock } from '../server-timing.ts';
import { placeOf, readersOf } from '../sources.ts';
import type { Route } from './route.ts';

export const stream: Route = (server, context) => {
  server.get(
    '/v1/plans/:plan/epochs/:epoch/stream',
    {
      config: { scope: 'read' },
      schema: { params: epochParams, querystring: streamQuery },
      exposeHeadRoute: false,
    },
    async (request, reply) => {
      const clock = createClock();
      const accepted = negotiateArrow(request.headers.accept);
      const { epoch } = request.params;
      const { from, to: end, ...query } = request.query;
      const compression = layouts[query.layout].compressed ? undefined : accepted;
      const plan = await context.plan(request.params.plan);
      const to = end ?? plan.steps;
      const { rank, world, replicate } = query;
      const view = { epoch, rank, world, replicate };
      const rows = await plan.rows({ ...view, from, to });
      const prepared = context.prepared(await readersOf(context, plan, query), query);
      if (prepared.view.dense && query.pad_to === undefined) {
        const message = 'request: a dense stream needs pad_to, the same for all its batches';
        throw new LogitcaskError('request-invalid', message, { expected: 'pad_to' });
      }
      clock.lap('plan');
      const first = await plan.samples({ ...view, step: from });
      const types = typesOf(prepared, first, query.pad_to ?? 0);
      const place = placeOf(plan, query, { epoch, from, to });
      const head = headOf(prepared, { batch: { types, rows }, batches: to - from, place });
      reply.type(arrowType).header('cache-control', 'no-store').header('vary', 'Accept');
      clock.lap('encode');
      reply.header('server-timing', clock.toString());
      const raw = startReply(request, reply, context.replies);
      const steps = { plan, view, from, to };
      await sendSteps(context, { raw, head, steps, prepared, compression }).catch((error) => {
        if (!raw.destroyed) {
          request.log.error({ request_id: request.id, error: faultOf(error) }, 'stream broken off');
        }
        raw.destroy(); // before the end marker: what arrived is no whole stream
      });
      return reply;
    },
  );
};

interface Steps {
  readonly plan: OpenPlan;
  readonly view: Omit<StepRequest, 'step'>;
  readonly from: number;
  readonly to: number;
}

interface Sending extends Pick<BatchOptions, 'prepared' | 'compression'> {
  readonly raw: ServerResponse;
  readonly head: Uint8Array;
  readonly steps: Steps;
}

/** One batch at a time: the next one is built when the client has taken the last. */
async function sendSteps(context: ServeContext, sending: Sending): Promise<void> {
  const { raw, head, steps, ...options } = sending;
  raw.write(head);
  for (let step = steps.from; step < steps.to; step++) {
    const rows = await steps.plan.samples({ ...steps.view, step });
    const share = await context.replies.enter();
    try {
      if (raw.destroyed) return;
      const batch = await buildBatch(context, { ...options, rows });
      const { pieces, bytes } = batch;
      share.hold(bytes);
      context.meters.send(options.prepared.request.layout, batch);
      raw.cork();
      let goesOn = true;
      for (const piece of joinSmall(pieces)) goesOn = raw.write(piece);
      process.nextTick(() => raw.uncork());
      if (!goesOn) await drained(raw);
    } finally {
      share.release();
    }
  }
  raw.end(streamEnd);
}

/** Rejects where the client goes away first. */
async function drained(raw: ServerResponse): Promise<void> {
  const gone = new AbortController();
  const onClose = () => gone.abort();
  raw.once('close', onClose);
  try {
    await once(raw, 'drain', { signal: gone.signal });
  } finally {
    raw.off('close', onClose);
  }
}
