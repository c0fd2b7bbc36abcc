/**
 * The server's log: JSON lines on standard error, with request ids. No headers, bodies, addresses
 * with their parameters, or messages that might quote them.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify';
import { destination, pino, stdTimeFunctions } from 'pino';
import type { ServeConfig } from '../../schemas/serve-config.ts';
import { LogitcaskError } from '../errors.ts';

export type Log = FastifyBaseLogger;

/** Lines that wait for a reader that has stalled; later ones are dropped, and serving goes on. */
const waitingBytesMax = 4 * 1024 * 1024;

export function createLog({ level }: ServeConfig['log']): Log {
  return pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: faultOf }, // of the framework's own lines
    },
    destination({ fd: 2, sync: false, maxLength: waitingBytesMax }),
  );
}

/**
 * What the log says of an error. Messages of ours may repeat what a request or a teacher said, and
 * JSON.parse quotes its input: of those the code is told, and where it happened.
 */
export function faultOf(error: unknown): Record<string, unknown> {
  if (error instanceof LogitcaskError && error.cause === undefined) return { code: error.code };
  const cause = error instanceof LogitcaskError ? error.cause : error;
  if (!(cause instanceof Error)) return { type: typeof cause };
  const quotes = cause instanceof LogitcaskError || cause instanceof SyntaxError;
  const frames = (cause.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  return {
    type: cause.name,
    ...(error instanceof LogitcaskError && { code: error.code }),
    ...(!quotes && { message: cause.message }),
    stack: frames.map((line) => line.trim()),
  };
}

const wellFormed = /^[\w.:-]{1,64}$/;

/** Ids of requests: the client's `x-request-id` where it is short and plain, else one of ours. */
export function createRequestIds(): (request: IncomingMessage) => string {
  const server = randomBytes(6).toString('hex');
  let requests = 0;
  return ({ headers }) => {
    const given = headers['x-request-id'];
    if (typeof given === 'string' && wellFormed.test(given)) return given;
    return `${server}-${(requests++).toString(36)}`;
  };
}

/** Asked every few seconds by whoever watches the server. */
const probes = new Set<string | undefined>(['/healthz', '/readyz', '/health', '/metrics']);

/** One line a request, once its answer is gone or the client is. */
export function logRequest(request: FastifyRequest, { raw }: FastifyReply): void {
  const { id, method, raw: incoming, log } = request;
  const { url: route } = request.routeOptions;
  const { socket } = incoming;
  const started = performance.now();
  const before = socket.bytesWritten;
  raw.once('close', () => {
    const status = raw.statusCode;
    const level = status >= 500 ? 'error' : probes.has(route) ? 'debug' : 'info';
    log[level](
      {
        request_id: id,
        method,
        route: route ?? null,
        status,
        ms: Math.round((performance.now() - started) * 1000) / 1000,
        bytes: socket.bytesWritten - before,
        ...(request.problem !== undefined && { code: request.problem }),
        ...(!raw.writableFinished && { aborted: true }),
      },
      'request',
    );
  });
}
