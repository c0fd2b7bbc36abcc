/** Strong ETags, conditional requests and single byte ranges. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { LogitcaskError } from '../errors.ts';

const immutable = 'public, max-age=31536000, immutable';

export interface Validator {
  /** Strong, with its quotes. */
  readonly etag: string;
  /** True where the address is a name, such as a tag, that may come to mean something else. */
  readonly named?: boolean;
}

/** Sets what caches need to know; true where the client has it already (304 follows). */
export function isFresh(
  request: FastifyRequest,
  reply: FastifyReply,
  { etag, named = false }: Validator,
): boolean {
  reply
    .header('etag', etag)
    .header('cache-control', named ? 'no-cache' : immutable)
    .header('vary', 'Accept, Accept-Encoding');
  const held = request.headers['if-none-match'];
  if (held === undefined) return false;
  return held.split(',').some((tag) => ['*', etag].includes(tag.trim().replace(/^W\//, '')));
}

export interface ByteRange {
  readonly from: number;
  /** Behind the last byte. */
  readonly to: number;
}

/**
 * The one range asked for; undefined: the whole file (no range, several ranges, another unit, or an
 * If-Range that no longer holds, or a method that knows no ranges). Throws `range-not-satisfiable`.
 */
export function rangeOf(
  request: FastifyRequest,
  { bytes, etag }: { bytes: number; etag: string },
): ByteRange | undefined {
  const { range, 'if-range': ifRange } = request.headers;
  if (range === undefined || request.method !== 'GET') return undefined;
  if (ifRange !== undefined && ifRange !== etag) return undefined;
  const match = /^bytes=(\d*)-(\d*)$/i.exec(range.trim());
  if (match === null || (match[1] === '' && match[2] === '')) return undefined;
  const [first, last] = [match[1], match[2]];
  const from = first === '' ? Math.max(0, bytes - Number(last)) : Number(first);
  const to = first === '' || last === '' ? bytes : Math.min(bytes, Number(last) + 1);
  if (first !== '' && last !== '' && Number(last) < Number(first)) return undefined;
  if (from < to) return { from, to };
  throw new LogitcaskError('range-not-satisfiable', `request: ${range} lies outside the file`, {
    expected: `within ${bytes} bytes`,
    got: range,
  });
}
