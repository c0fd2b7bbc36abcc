/** Accept: the best of the types that the server has, with q-values; 406 where nothing fits. */
import { LogitcaskError } from '../errors.ts';

export const arrowType = 'application/vnd.apache.arrow.stream';

interface Range {
  readonly type: string;
  readonly q: number;
}

/** Malformed parts are ignored, as RFC 9110 allows; no header at all accepts everything. */
function parseAccept(header: string): Range[] {
  return header.split(',').flatMap((part) => {
    const [type, ...parameters] = part.split(';').map((piece) => piece.trim().toLowerCase());
    if (!/^[^\s/]+\/[^\s/]+$/.test(type)) return [];
    const weight = parameters.find((parameter) => parameter.startsWith('q='));
    const q = weight === undefined ? 1 : Number(weight.slice(2));
    return q >= 0 && q <= 1 ? [{ type, q }] : [];
  });
}

/** The most specific range that matches decides, also where its q is 0. */
function qualityOf(type: string, ranges: readonly Range[]): number {
  const [family] = type.split('/');
  for (const pattern of [type, `${family}/*`, '*/*']) {
    const range = ranges.find((candidate) => candidate.type === pattern);
    if (range !== undefined) return range.q;
  }
  return 0;
}

/** Throws `not-acceptable`. Of equals, the first of `offered` wins. */
export function negotiate<T extends string>(accept: string | undefined, offered: readonly T[]): T {
  if (accept === undefined || accept.trim() === '') return offered[0];
  const ranges = parseAccept(accept);
  const scored = offered.map((type) => ({ type, q: qualityOf(type, ranges) }));
  const best = scored.reduce((a, b) => (b.q > a.q ? b : a));
  if (best.q > 0) return best.type;
  throw new LogitcaskError('not-acceptable', `request: nothing that is here fits ${accept}`, {
    expected: offered.join(', '),
    got: accept,
  });
}
