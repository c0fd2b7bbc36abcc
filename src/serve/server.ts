/** The server: fastify with every limit set, one route a file, errors as problem documents. */
import type { Socket } from 'node:net';
import rateLimit from '@fastify/rate-limit';
import swagger from '@fastify/swagger';
import fastify, { type FastifyError, LogController } from 'fastify';
import metrics from 'fastify-metrics';
import { serializerCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod';
import type { ServeConfig } from '../../schemas/serve-config.ts';
import { LogitcaskError } from '../errors.ts';
import type { Store } from '../store/store.ts';
import type { Auditor } from './auditor.ts';
import { authorize, checkExposure, refuseOtherSites } from './auth.ts';
import { observed } from './cache-metrics.ts';
import type { CachedTeacher } from './cached-teacher.ts';
import { createContext, type ServeContext } from './context.ts';
import { createRequestIds, logRequest } from './log.ts';
import { registerMetrics } from './metrics.ts';
import { refuseEncoding } from './negotiate.ts';
import { openapi } from './openapi.ts';
import { errorOf, problemType, sendProblem } from './problem.ts';
import { problemOf } from './problem-document.ts';
import { createQueryParser, validateOnce } from './queries.ts';
import { audits } from './routes/audits.ts';
import { chatCompletions } from './routes/chat-completions.ts';
import { completions } from './routes/completions.ts';
import { datasets } from './routes/datasets.ts';
import { digests } from './routes/digests.ts';
import { health } from './routes/health.ts';
import { images } from './routes/images.ts';
import { models } from './routes/models.ts';
import { plans } from './routes/plans.ts';
import type { Route, Server } from './routes/route.ts';
import { rows } from './routes/rows.ts';
import { score } from './routes/score.ts';
import { shards } from './routes/shards.ts';
import { snapshots } from './routes/snapshots.ts';
import { statistics } from './routes/statistics.ts';
import { steps } from './routes/steps.ts';
import { stream } from './routes/stream.ts';
import { tokens } from './routes/tokens.ts';
import { uploads } from './routes/uploads.ts';
import { web } from './routes/web.ts';
import { limitTime } from './time-limit.ts';
import type { Uploads } from './uploads.ts';

const routes: readonly Route[] = [
  health,
  web,
  datasets,
  snapshots,
  statistics,
  audits,
  shards,
  rows,
  images,
  tokens,
  plans,
  steps,
  stream,
  digests,
  score,
  models,
  completions,
  chatCompletions,
  uploads,
];
const sweepMs = 250;
/** How often connections are looked at for requests that take too long to arrive. */
const checkMs = 1000;

export interface RunningServer {
  /** With the port that was taken. */
  readonly url: string;
  /** Answers what is under way, up to the grace period, then closes every socket. */
  close(): Promise<void>;
}

export interface ServeOptions {
  readonly store: Store;
  readonly config: ServeConfig;
  /** Asked for what is not cached; the caller closes them after the server. */
  readonly teachers?: readonly CachedTeacher[];
  /** What workers push; the caller closes it after the server. */
  readonly uploads?: Uploads;
  readonly auditor?: Auditor;
  /** Where the built console lies; beside the program by default. */
  readonly webFolder?: string;
}

/** Errors: `config-invalid` (open to strangers), `port-in-use`. */
export async function startServer({
  store,
  config,
  teachers = [],
  ...given
}: ServeOptions): Promise<RunningServer> {
  checkExposure(config);
  const context = await createContext(store, config, given);
  const server = await createServer(context, teachers);
  try {
    await server.listen({ host: config.host, port: config.port });
  } catch (error) {
    await server.close();
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    const { port, host } = config;
    const message = `serve: port ${port} of ${host} is taken; choose another with --port`;
    throw new LogitcaskError('port-in-use', message, { got: port });
  }
  const address = server.server.address();
  const port = typeof address === 'object' && address !== null ? address.port : config.port;
  const host = config.host.includes(':') ? `[${config.host}]` : config.host;
  return { url: `http://${host}:${port}`, close: () => stop(server, context) };
}

async function createServer(
  context: ServeContext,
  teachers: readonly CachedTeacher[],
): Promise<Server> {
  const { limits } = context.config;
  const server = fastify({
    loggerInstance: context.log,
    // the hook below has the one line a request
    logController: new LogController({ disableRequestLogging: true }),
    childLoggerFactory: (log) => log, // lines name the request themselves
    genReqId: createRequestIds(),
    bodyLimit: limits.body_bytes_max,
    requestTimeout: limits.request_timeout_ms,
    connectionTimeout: limits.handler_timeout_ms + limits.request_timeout_ms,
    keepAliveTimeout: limits.idle_timeout_ms,
    http: {
      maxHeaderSize: limits.header_bytes_max,
      connectionsCheckingInterval: checkMs,
      // a longer limit on headers, as by default, would be taken for the one on whole requests
      headersTimeout: Math.min(60_000, limits.request_timeout_ms),
    },
    routerOptions: { maxParamLength: 256, querystringParser: createQueryParser() },
    clientErrorHandler: refuseMalformed,
    frameworkErrors: (error, request, reply) =>
      sendProblem(errorOf(error, request), request, reply),
    return503OnClosing: false, // what still comes in on open connections is answered
  }).withTypeProvider<ZodTypeProvider>();
  server.server.maxConnections = limits.connections_max;
  server.setValidatorCompiler(validateOnce);
  server.setSerializerCompiler(serializerCompiler);
  server.setErrorHandler((error: FastifyError, request, reply) =>
    sendProblem(errorOf(error, request), request, reply),
  );
  server.setNotFoundHandler((request, reply) => {
    const message = `request: there is nothing at ${request.method} ${request.url}`;
    return sendProblem(new LogitcaskError('route-not-found', message), request, reply);
  });
  server.decorateRequest('problem', undefined);
  server.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
    logRequest(request, reply);
    refuseEncoding(request.headers['accept-encoding']);
    refuseOtherSites(request, context.config);
    const { scope } = request.routeOptions.config;
    if (scope !== undefined) authorize(request, context.config, scope);
    limitTime(request, reply, limits);
  });
  await server.register(rateLimit, {
    max: limits.requests_per_minute_max,
    timeWindow: 60_000,
    errorResponseBuilder: (_, { max, after }) =>
      new LogitcaskError('too-many-requests', `request: over ${max} a minute; wait ${after}`, {
        expected: `at most ${max} a minute`,
      }),
  });
  await server.register(swagger, openapi);
  await server.register(metrics.default, {
    endpoint: null, // health.ts has the route, with a scope
    clearRegisterOnInit: true,
    routeMetrics: { enabled: { summary: false }, groupStatusCodes: true },
  });
  registerMetrics(server.metrics.client, context);
  context.teachers = observed(server.metrics.client, teachers);
  for (const route of routes) route(server, context);
  server.get('/openapi.json', { config: { scope: 'read' } }, async () => server.swagger());
  await server.ready();
  return server;
}

/** Requests that never became one: headers too large, timeouts, no HTTP. */
function refuseMalformed(error: Error & { code?: string }, socket: Socket): void {
  const code =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? 'headers-too-large'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? 'request-timeout'
        : 'request-invalid';
  const problem = new LogitcaskError(code, `request: ${error.message}`);
  if (socket.writable && error.code !== 'ECONNRESET') {
    const body = JSON.stringify(problemOf(problem, ''));
    const length = Buffer.byteLength(body);
    socket.write(
      `HTTP/1.1 ${problem.status} Refused\r\nContent-Type: ${problemType}\r\n` +
        `Content-Length: ${length}\r\nConnection: close\r\n\r\n${body}`,
    );
  }
  socket.destroySoon();
}

/** An idle keep-alive connection would hold `close` for over a minute: swept while it runs. */
async function stop(server: Server, context: ServeContext): Promise<void> {
  context.stopping = true;
  const audited = context.audits.stop();
  const sweep = setInterval(() => server.server.closeIdleConnections(), sweepMs);
  const end = setTimeout(() => server.server.closeAllConnections(), context.config.limits.grace_ms);
  try {
    await server.close();
  } finally {
    clearInterval(sweep);
    clearTimeout(end);
    await audited;
    await context.close();
  }
}
