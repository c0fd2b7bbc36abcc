/**
 * Accept and Accept-Encoding, with q-values: the best of what the server has; 406 where nothing
 * fits.
 */
import { LogitcaskError } from '../errors.ts';

export const arrowType = 'application/vnd.apache.arrow.stream';

interface Range {
  readonly type: string;
  readonly q: number;
}

const quality = /^q=(0(\.\d{0,3})?|1(\.0{0,3})?)$/;

/** Malformed parts are ignored, as RFC 9110 allows; quoted parameters decide nothing here. */
function parseRanges(header: string, pattern: RegExp): Range[] {
  const unquoted = header.replaceAll(/"[^"]*"?/g, '');
  return unquoted.split(',').flatMap((part) => {
    const [type, ...parameters] = part.split(';').map((piece) => piece.trim().toLowerCase());
    if (!pattern.test(type)) return [];
    const weight = parameters.find((parameter) => parameter.startsWith('q='));
    if (weight !== undefined && !quality.test(weight)) return [];
    return [{ type, q: weight === undefined ? 1 : Number(weight.slice(2)) }];
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

/**
 * Throws `not-acceptable`. Of equals, the first of `offered` wins; no header accepts everything.
 */
export function negotiate<T extends string>(accept: string | undefined, offered: readonly T[]): T {
  if (accept === undefined || accept.trim() === '') return offered[0];
  const ranges = parseRanges(accept, /^[^\s/]+\/[^\s/]+$/);
  const scored = offered.map((type) => ({ type, q: qualityOf(type, ranges) }));
  const best = scored.reduce((a, b) => (b.q > a.q ? b : a));
  if (best.q > 0) return best.type;
  throw new LogitcaskError('not-acceptable', `request: nothing that is here fits ${accept}`, {
    expected: offered.join(', '),
    got: accept,
  });
}

/**
 * Bodies are never compressed on the way; throws `not-acceptable` where they may not come as they
 * are.
 */
export function refuseEncoding(acceptEncoding: string | undefined): void {
  const ranges = parseRanges(acceptEncoding ?? '', /^[^\s/]+$/);
  const identity = ranges.find(({ type }) => type === 'identity');
  const any = ranges.find(({ type }) => type === '*');
  if ((identity ?? any)?.q !== 0) return;
  throw new LogitcaskError('not-acceptable', 'request: bodies are sent without content coding', {
    expected: 'identity',
    got: acceptEncoding,
  });
}
