/**
 * Accept and Accept-Encoding, with q-values: the best of what the server has; 406 where nothing
 * fits.
 */
import { LogitcaskError } from '../errors.ts';
import { type BodyCompression, bodyCodecs } from '../formats/arrow-compression.ts';

export const arrowType = 'application/vnd.apache.arrow.stream';

interface Range {
  readonly type: string;
  readonly q: number;
  /** Of the parameter `codecs`: what bodies may be compressed with, best first. */
  readonly codecs?: readonly string[];
}

const quality = /^q=(0(\.\d{0,3})?|1(\.0{0,3})?)$/;

/** Splits at a separator that stands outside quotes; an open quote reaches to the end. */
function split(text: string, separator: ',' | ';'): string[] {
  const parts: string[] = [];
  let from = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '"') quoted = !quoted;
    else if (text[i] === '\\' && quoted) i++;
    else if (text[i] === separator && !quoted) {
      parts.push(text.slice(from, i));
      from = i + 1;
    }
  }
  return [...parts, text.slice(from)];
}

/** Malformed parts are ignored, as RFC 9110 allows. */
function parseRanges(header: string, pattern: RegExp): Range[] {
  return split(header, ',').flatMap((part) => {
    const [type, ...parameters] = split(part, ';').map((piece) => piece.trim().toLowerCase());
    if (!pattern.test(type)) return [];
    const weight = parameters.find((parameter) => parameter.startsWith('q='));
    if (weight !== undefined && !quality.test(weight)) return [];
    const listed = parameters.find((parameter) => parameter.startsWith('codecs='));
    const codecs = listed?.slice('codecs='.length).replaceAll('"', '').split(',');
    return [
      {
        type,
        q: weight === undefined ? 1 : Number(weight.slice(2)),
        codecs: codecs?.map((codec) => codec.trim()),
      },
    ];
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
  throw nothingFits(accept, offered.join(', '));
}

function nothingFits(accept: string, expected: string): LogitcaskError {
  const message = `request: nothing that is here fits ${accept}`;
  return new LogitcaskError('not-acceptable', message, { expected, got: accept });
}

/**
 * What an Arrow stream's bodies are compressed with: a codec that the client names, undefined for
 * none. Of equal q the codec that is named first wins; every reader reads what is not compressed.
 */
export function negotiateArrow(accept: string | undefined): BodyCompression | undefined {
  if (accept === arrowType || accept === undefined || accept.trim() === '') return undefined;
  const ranges = parseRanges(accept, /^[^\s/]+\/[^\s/]+$/);
  const named = ranges.filter(({ type, codecs }) => type === arrowType && codecs !== undefined);
  const others = ranges.filter(({ codecs }) => codecs === undefined);
  let best: { q: number; codec?: BodyCompression } = { q: qualityOf(arrowType, others) };
  if (!others.some(({ type }) => type === arrowType)) {
    best.q = named.reduce((q, range) => Math.max(q, range.q), best.q);
  }
  let found = false;
  for (const { q, codecs = [] } of named) {
    const codec = codecs.find(isCodec);
    if (codec === undefined || q === 0 || (found ? q <= best.q : q < best.q)) continue;
    best = { q, codec };
    found = true;
  }
  if (best.q > 0) return best.codec;
  throw nothingFits(accept, arrowType);
}

const isCodec = (name: string): name is BodyCompression => Object.hasOwn(bodyCodecs, name);

/**
 * Bodies are never compressed on the way; throws `not-acceptable` where they may not come as they
 * are.
 */
export function refuseEncoding(acceptEncoding: string | undefined): void {
  if (acceptEncoding === undefined || acceptEncoding === 'identity') return;
  const ranges = parseRanges(acceptEncoding, /^[^\s/]+$/);
  const identity = ranges.find(({ type }) => type === 'identity');
  const any = ranges.find(({ type }) => type === '*');
  if ((identity ?? any)?.q !== 0) return;
  throw new LogitcaskError('not-acceptable', 'request: bodies are sent without content coding', {
    expected: 'identity',
    got: acceptEncoding,
  });
}
