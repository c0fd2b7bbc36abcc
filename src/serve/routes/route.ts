/** What a route file gives to the server: a function that adds it. One route a file. */
import type {
  FastifyBaseLogger,
  FastifyInstance,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { Scope } from '../../../schemas/serve-config.ts';
import type { ErrorCode } from '../../errors.ts';
import type { ServeContext } from '../context.ts';

export type Server = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  ZodTypeProvider
>;

export type Route = (server: Server, context: ServeContext) => void;

declare module 'fastify' {
  interface FastifyRequest {
    /** Code of the error that it was answered with. */
    problem: ErrorCode | undefined;
  }
  interface FastifyContextConfig {
    /** Scope that a bearer token needs; absent: the route is open to all. */
    scope?: Scope;
    /** Time to an answer, where it is not that of other routes. */
    timeoutMs?: number;
  }
}
