/** GET /, its pages and /assets/{name}: the console. Open to all: its requests carry the token. */
import type { FastifyReply } from 'fastify';
import { LogitcaskError } from '../../errors.ts';
import { isFresh } from '../http-cache.ts';
import type { Route } from './route.ts';

/** Pages that the console makes itself: whoever opens one by its address gets the same document. */
const pages = ['/', '/datasets', '/datasets/*', '/builds', '/plans', '/plans/*'];

/** Nothing but files of this server is loaded, run or asked, and no other site frames the page. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const notBuilt = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>logitcask</title>
<h1>The console is not built</h1>
<p>Run <code>npm run build</code> in the folder of logitcask and start the server again.</p>
<p>The <a href="/openapi.json">HTTP interface</a> works without it.</p>
</html>
`;

const options = { schema: { hide: true } };

export const web: Route = (server, { web }) => {
  for (const path of pages) {
    server.get(path, options, async (request, reply) => {
      guard(reply);
      const { page } = web;
      if (page === undefined) {
        reply.code(404).header('cache-control', 'no-store');
        return reply.type('text/html; charset=utf-8').send(notBuilt);
      }
      if (isFresh(request, reply, { etag: page.etag, named: true })) return reply.code(304).send();
      return reply.type(page.type).send(page.bytes);
    });
  }
  server.get<{ Params: { '*': string } }>('/assets/*', options, async (request, reply) => {
    const name = request.params['*'];
    const file = web.assets.get(name);
    if (file === undefined) {
      const message = `request: the console has no file ${name}`;
      throw new LogitcaskError('route-not-found', message, { got: name });
    }
    guard(reply);
    if (isFresh(request, reply, { etag: file.etag })) return reply.code(304).send();
    return reply.type(file.type).send(file.bytes);
  });
};

function guard(reply: FastifyReply): void {
  reply
    .header('content-security-policy', policy)
    .header('x-content-type-options', 'nosniff')
    .header('referrer-policy', 'no-referrer');
}
