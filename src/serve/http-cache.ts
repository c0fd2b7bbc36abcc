/** Strong ETags, conditional requests and single byte ranges. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { LogitcaskError } from '../errors.ts';

export const immutable = 'public, max-age=31536000, immutable';

/** Sets the headers of an immutable thing; true where the client has it already (304 follows). */
export function isFresh(request: FastifyRequest, reply: FastifyReply, etag: string): boolean {
  reply
    .header('etag', etag)
    .header('cache-control', immutable)
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
 * If-Range that no longer holds). Throws `range-not-satisfiable`.
 */
export function rangeOf(
  request: FastifyRequest,
  { bytes, etag }: { bytes: number; etag: string },
): ByteRange | undefined {
  const { range, 'if-range': ifRange } = request.headers;
  if (range === undefined || (ifRange !== undefined && ifRange !== etag)) return undefined;
  const match = /^bytes=(\d*)-(\d*)$/.exec(range.trim());
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
