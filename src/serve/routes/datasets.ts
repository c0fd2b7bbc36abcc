/** GET /v1/datasets, /v1/datasets/{ds}: what is in the store. */
import { datasetList, datasetParams, datasetReply, listQuery } from '../../../schemas/http.ts';
import { LogitcaskError } from '../../errors.ts';
import { listDatasets, listSnapshots, readBuildStatus, readTags } from '../../shard/snapshot.ts';
import type { Route } from './route.ts';

export const datasets: Route = (server, { store }) => {
  server.get(
    '/v1/datasets',
    {
      config: { scope: 'read' },
      schema: { querystring: listQuery, response: { 200: datasetList } },
    },
    async (request, reply) => {
      const { cursor, limit } = request.query;
      const names = (await listDatasets(store)).filter((name) => !cursor || name > cursor);
      const page = names.slice(0, limit);
      reply.header('cache-control', 'no-cache');
      return {
        datasets: await Promise.all(
          page.map(async (name) => ({ name, tags: await readTags(store, name) })),
        ),
        next: names.length > limit ? (page.at(-1) ?? null) : null,
      };
    },
  );
  server.get(
    '/v1/datasets/:dataset',
    {
      config: { scope: 'read' },
      schema: { params: datasetParams, response: { 200: datasetReply } },
    },
    async (request, reply) => {
      const { dataset: name } = request.params;
      const known = await listDatasets(store);
      if (!known.includes(name)) {
        const message = `snapshot: there is no data set \`${name}\` in the store`;
        throw new LogitcaskError('dataset-not-found', message, { expected: known, got: name });
      }
      reply.header('cache-control', 'no-cache');
      return {
        name,
        tags: await readTags(store, name),
        snapshots: await listSnapshots(store, name),
        builds: await readBuildStatus(store, name),
      };
    },
  );
};
