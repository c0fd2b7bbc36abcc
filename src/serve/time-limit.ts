/**
 * A limit on the time to an answer. The framework's own ends as soon as a body has arrived, so that
 * requests with one would have none, and makes a signal for each request, which takes far longer.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ServeConfig } from '../../schemas/serve-config.ts';
import { LogitcaskError } from '../errors.ts';

type Limits = Pick<
  ServeConfig['limits'],
  'handler_timeout_ms' | 'request_timeout_ms' | 'write_timeout_ms'
>;

/** Answers `request-timeout` where nothing else has been answered by then. */
export function limitTime(request: FastifyRequest, reply: FastifyReply, limits: Limits): void {
  const { timeoutMs } = request.routeOptions.config;
  const ms = timeoutMs ?? limits.handler_timeout_ms;
  const end = () => {
    if (reply.sent) return; // it is on its way, under a limit of its own
    if (reply.raw.headersSent) {
      // an answer that is sent piece by piece may take its time, but not stand still
      reply.raw.setTimeout(limits.write_timeout_ms, () => reply.raw.destroy());
      return;
    }
    const message = `request: it was not answered in ${ms} ms`;
    void reply.send(new LogitcaskError('request-timeout', message, { expected: `${ms} ms` }));
    reply.send = () => reply; // the framework would warn of a late answer, and name its address
  };
  const timer = setTimeout(end, ms);
  reply.raw.once('close', () => clearTimeout(timer));
  // a connection on which nothing moves would be closed before
  if (timeoutMs !== undefined) request.socket.setTimeout(timeoutMs + limits.request_timeout_ms);
}
