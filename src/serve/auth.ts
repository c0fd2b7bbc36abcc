/** Who may ask: anyone on loopback, elsewhere bearers of tokens, which are kept as hashes. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import type { Scope, ServeConfig } from '../../schemas/serve-config.ts';
import { LogitcaskError } from '../errors.ts';

const reading = /^(GET|HEAD|OPTIONS)$/;
const loopback = /^(127\.\d+\.\d+\.\d+|::1|localhost)$/;

/** Throws `config-invalid` where the address would be open to strangers. */
export function checkExposure({ host, tokens, allow_anonymous }: ServeConfig): void {
  if (loopback.test(host) || tokens.length > 0 || allow_anonymous) return;
  throw new LogitcaskError(
    'config-invalid',
    `serve: ${host} is not loopback; give tokens, or set allow_anonymous: true`,
    { expected: 'tokens or allow_anonymous', got: host },
  );
}

/**
 * Without tokens a page of any site could change something here by the browser of whoever may.
 * Browsers say where a page is from; other clients do not send the header.
 */
export function refuseOtherSites(
  { method, headers }: FastifyRequest,
  { tokens }: ServeConfig,
): void {
  if (tokens.length > 0 || reading.test(method)) return;
  const { 'sec-fetch-site': site = 'none' } = headers;
  if (site === 'same-origin' || site === 'none') return;
  const message = `request: a page of another site (${site}) changes nothing here; give tokens`;
  throw new LogitcaskError('forbidden', message, { expected: 'same-origin', got: site });
}

/** Compares with every token, so that the time says nothing about which one came close. */
export function authorize(request: FastifyRequest, { tokens }: ServeConfig, needed: Scope): void {
  if (tokens.length === 0) return;
  const bearer = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
  if (bearer === undefined) {
    throw new LogitcaskError('unauthorized', 'request: a bearer token is needed', {
      expected: 'Authorization: Bearer …',
    });
  }
  const given = createHash('sha256').update(bearer).digest();
  let scopes: readonly Scope[] | undefined;
  for (const token of tokens) {
    if (timingSafeEqual(Buffer.from(token.sha256, 'hex'), given)) scopes = token.scopes;
  }
  if (scopes === undefined) throw new LogitcaskError('unauthorized', 'request: unknown token');
  if (!scopes.includes(needed) && !scopes.includes('admin')) {
    throw new LogitcaskError('forbidden', `request: the token lacks the scope ${needed}`, {
      expected: needed,
      got: scopes,
    });
  }
}
