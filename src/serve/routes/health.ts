/** GET /healthz, /health, /readyz, /version, /metrics: for those who operate the server. */
import { statusReply, versionReply } from '../../../schemas/http.ts';
import { formatVersion } from '../../../schemas/manifest.ts';
import { LogitcaskError } from '../../errors.ts';
import { version } from '../version.ts';
import type { Route } from './route.ts';

export const health: Route = (server, context) => {
  server.get('/healthz', { schema: { response: { 200: statusReply } } }, async () => ({
    status: 'ok' as const,
  }));
  // as vLLM answers it
  server.get('/health', async (_, reply) => {
    if (!context.stopping) return reply.send();
    throw new LogitcaskError('shutting-down', 'serve: the server is about to stop');
  });
  server.get('/readyz', { schema: { response: { 200: statusReply } } }, async () => {
    if (!context.stopping) return { status: 'ok' as const };
    throw new LogitcaskError('shutting-down', 'serve: the server is about to stop');
  });
  server.get(
    '/version',
    { config: { scope: 'read' }, schema: { response: { 200: versionReply } } },
    async () => ({ name: 'logitcask' as const, version, format: formatVersion }),
  );
  server.get('/metrics', { config: { scope: 'read' } }, async (_, reply) => {
    const { register } = server.metrics.client;
    return reply.type(register.contentType).send(await register.metrics());
  });
};
