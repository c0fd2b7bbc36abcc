/**
 * GET /v1/plans/{plan}/epochs/{e}/steps/{s}: one batch, whole, with a length: the unit of retry.
 */
import { type BatchRequest, batchRequest } from '../../../schemas/batch.ts';
import { stepParams } from '../../../schemas/http.ts';
import { LogitcaskError } from '../../errors.ts';
import { digestOf } from '../../formats/canonical.ts';
import type { OpenPlan } from '../../plan/open-plan.ts';
import { snapshotPath } from '../../shard/names.ts';
import type { SnapshotReader } from '../../shard/reader.ts';
import { listDatasets } from '../../shard/snapshot.ts';
import type { Store } from '../../store/store.ts';
import { buildBatch } from '../batch.ts';
import type { ServeContext } from '../context.ts';
import { isFresh } from '../http-cache.ts';
import { arrowType, negotiate } from '../negotiate.ts';
import { version } from '../version.ts';
import type { Route } from './route.ts';

export const steps: Route = (server, context) => {
  server.get(
    '/v1/plans/:plan/epochs/:epoch/steps/:step',
    { config: { scope: 'read' }, schema: { params: stepParams, querystring: batchRequest } },
    async (request, reply) => {
      const { params, query } = request;
      const plan = await context.plan(params.plan);
      const { rank, world } = query;
      const { ordinals, pad, segments } = await plan.samples({ ...params, rank, world });
      if (plan.plan.streams.length > 1 || segments !== undefined) {
        const message = 'plan: steps of mixtures and of packs are not served yet';
        throw new LogitcaskError('plan-unsupported', message);
      }
      const type = negotiate(request.headers.accept, [arrowType]);
      const reader = await snapshotOf(context, plan, query);
      const etag = digestOf({ version, ...params, query, snapshot: reader.id }).slice(0, 32);
      if (isFresh(request, reply, { etag: `"${etag}"` })) return reply.code(304).send();
      const place = {
        plan: plan.id,
        epoch: String(params.epoch),
        step: String(params.step),
        rank: String(rank),
        world: String(world),
      };
      const body = await buildBatch(context, { reader, ordinals, pad, request: query, place });
      return reply.type(type).send(body);
    },
  );
};

/** The plan's own snapshot, or another with the same content (another codec or teacher). */
async function snapshotOf(
  context: ServeContext,
  { plan }: OpenPlan,
  { snapshot }: BatchRequest,
): Promise<SnapshotReader> {
  const [stream] = plan.streams;
  const id = snapshot ?? stream.snapshot;
  const dataset = id === stream.snapshot ? stream.dataset : await datasetOf(context.store, id);
  const reader = await context.snapshot(dataset ?? stream.dataset, id);
  const { content_id: got } = reader.manifest;
  const expected = plan.identity.streams[0].content_id;
  if (got === expected) return reader;
  const message = `request: snapshot ${reader.id} does not hold the samples of the plan`;
  throw new LogitcaskError('conflict', message, { expected, got });
}

/** Equal content may lie in another data set than the one that the plan was first made for. */
async function datasetOf(store: Store, snapshot: string): Promise<string | undefined> {
  for (const dataset of await listDatasets(store)) {
    if ((await store.size(snapshotPath(dataset, snapshot))) !== undefined) return dataset;
  }
  return undefined;
}
