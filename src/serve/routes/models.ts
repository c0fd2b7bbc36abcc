/** GET /v1/models: the models whose scores are cached, as vLLM lists them. */
import { modelsReply } from '../../../schemas/facade.ts';
import type { Route } from './route.ts';

export const models: Route = (server, { teachers }) => {
  const created = Math.floor(Date.now() / 1000);
  const data = [...new Map(teachers.map((teacher) => [teacher.served.model, teacher])).entries()];
  server.get(
    '/v1/models',
    { config: { scope: 'read' }, schema: { response: { 200: modelsReply } } },
    async (_, reply) => {
      reply.header('cache-control', 'no-store');
      return {
        object: 'list' as const,
        data: data.map(([id, { contextMax = null }]) => ({
          id,
          object: 'model' as const,
          created,
          owned_by: 'logitcask',
          root: id,
          parent: null,
          max_model_len: contextMax,
        })),
      };
    },
  );
};
