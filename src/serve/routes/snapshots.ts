/** GET …/snapshots/{snap} and its schema: the manifest byte for byte, and the columns. */
import { snapshotParams } from '../../../schemas/http.ts';
import { arrowSchema } from '../../formats/arrow.ts';
import { shardColumns } from '../../shard/columns.ts';
import { resolveSnapshot } from '../../shard/snapshot.ts';
import { isFresh } from '../http-cache.ts';
import type { Route } from './route.ts';

export const snapshots: Route = (server, { store }) => {
  const options = { config: { scope: 'read' as const }, schema: { params: snapshotParams } };
  server.get('/v1/datasets/:dataset/snapshots/:snapshot', options, async (request, reply) => {
    const { dataset, snapshot } = request.params;
    const { id, bytes } = await resolveSnapshot(store, dataset, snapshot);
    const fresh = isFresh(request, reply, { etag: `"${id}"`, named: snapshot !== id });
    reply.header('logitcask-snapshot', id);
    if (fresh) return reply.code(304).send();
    return reply.type('application/json; charset=utf-8').send(bytes);
  });
  server.get(
    '/v1/datasets/:dataset/snapshots/:snapshot/schema',
    options,
    async (request, reply) => {
      const { dataset, snapshot } = request.params;
      const { id, manifest } = await resolveSnapshot(store, dataset, snapshot);
      const { fields } = arrowSchema(shardColumns(manifest), {});
      reply.header('logitcask-snapshot', id).header('cache-control', 'no-cache');
      return {
        columns: fields.map(({ name, type }) => ({ name, type: String(type) })),
        target_sets: manifest.target_sets,
      };
    },
  );
};
