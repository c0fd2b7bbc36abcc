/** GET …/snapshots/{snap}/tokens?ids: the texts of token ids, by the snapshot's own tokenizer. */
import { snapshotParams, tokensQuery, tokensReply } from '../../../schemas/http.ts';
import { LogitcaskError } from '../../errors.ts';
import type { Route } from './route.ts';

export const tokens: Route = (server, context) => {
  server.get(
    '/v1/datasets/:dataset/snapshots/:snapshot/tokens',
    {
      config: { scope: 'read' },
      schema: {
        params: snapshotParams,
        querystring: tokensQuery,
        response: { 200: tokensReply },
      },
    },
    async (request, reply) => {
      const { dataset, snapshot } = request.params;
      const { ids } = request.query;
      const { id, manifest } = await context.snapshot(dataset, snapshot);
      const { size } = manifest.label_space;
      const outside = ids.find((token) => token >= size);
      if (outside !== undefined) {
        const message = `request: token ${outside} lies outside the label space of ${size}`;
        throw new LogitcaskError('token-out-of-range', message, {
          expected: `below ${size}`,
          got: outside,
        });
      }
      const textOf = await context.texts.of(manifest);
      reply.header('logitcask-snapshot', id).header('cache-control', 'no-cache');
      return { texts: ids.map((token) => textOf?.(token) ?? null) };
    },
  );
};
