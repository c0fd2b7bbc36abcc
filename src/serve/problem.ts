/** What routes and the framework throw, sent as problem documents. */
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import { asLogitcaskError, type ErrorCode, LogitcaskError } from '../errors.ts';
import { faultOf } from './log.ts';
import { problemOf } from './problem-document.ts';

export const problemType = 'application/problem+json; charset=utf-8';

const frameworkCodes: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body-too-large',
};

const parts = { body: 'body', params: 'params', querystring: 'query', headers: 'headers' } as const;

function valueAt(root: unknown, path: string): unknown {
  const keys = path.split('/').filter((key) => key !== '');
  return keys.reduce<unknown>((value, key) => (value as Record<string, unknown>)?.[key], root);
}

/** Whatever a route or the framework threw, as our error. */
export function errorOf(thrown: FastifyError | Error, request: FastifyRequest): LogitcaskError {
  if (thrown instanceof LogitcaskError) return thrown;
  if (hasZodFastifySchemaValidationErrors(thrown)) {
    const [{ instancePath, message }] = thrown.validation;
    const part = thrown.validationContext ?? 'body';
    const where = `${part}${instancePath.replaceAll('/', '.')}`;
    const text = `request: \`${where}\` is wrong: ${message}`;
    const got = valueAt(request[parts[part]], instancePath);
    return new LogitcaskError('request-invalid', text, { expected: message, got });
  }
  const { code = '', statusCode = 500, message } = thrown as FastifyError;
  const known = frameworkCodes[code];
  if (known !== undefined) return new LogitcaskError(known, `request: ${message}`);
  if (statusCode >= 400 && statusCode < 500) {
    return new LogitcaskError('request-invalid', `request: ${message}`, { got: code });
  }
  request.log.error({ request_id: request.id, error: faultOf(thrown) }, 'defect');
  return asLogitcaskError(thrown);
}

/** Headers that a route had set for the answer that failed. */
const ofTheWhole = ['etag', 'repr-digest', 'accept-ranges', 'content-length', 'logitcask-snapshot'];

export function sendProblem(
  error: LogitcaskError,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  request.problem = error.code;
  reply.header('x-request-id', request.id); // also of what no hook has seen
  for (const name of ofTheWhole) reply.removeHeader(name);
  if (error.code === 'unauthorized') reply.header('www-authenticate', 'Bearer');
  return reply
    .code(error.status)
    .header('content-type', problemType)
    .header('cache-control', 'no-store')
    .serializer(JSON.stringify)
    .send(problemOf(error, request.url));
}
