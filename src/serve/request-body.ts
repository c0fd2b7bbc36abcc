/** What comes in bodies of requests: Arrow streams, objects to be kept, and what is refused. */
import { LogitcaskError } from '../errors.ts';
import type { DecodedStream } from '../formats/arrow.ts';
import { readStream } from '../formats/arrow-read.ts';
import { canonicalJson } from '../formats/canonical.ts';

/** Throws `request-invalid`. */
export function arrowBody(bytes: Buffer): DecodedStream {
  try {
    return readStream(bytes);
  } catch (cause) {
    const message = `request: the body is no Arrow stream (${(cause as Error).message})`;
    throw new LogitcaskError('request-invalid', message, { cause });
  }
}

/** An object that can be kept as `meta`, as text or as parsed. Throws `request-invalid`. */
export function metaOf(given: unknown, what: string): Record<string, unknown> {
  try {
    const value: unknown = typeof given === 'string' ? JSON.parse(given) : given;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      canonicalJson(value); // as it will be kept
      return { ...value };
    }
  } catch {
    // not JSON, or nested without end: refused below
  }
  const got = typeof given === 'string' ? given.slice(0, 80) : typeof given;
  throw invalidBody(`${what} is no JSON object`, 'a JSON object', got);
}

export function invalidBody(what: string, expected: unknown, got: unknown): LogitcaskError {
  return new LogitcaskError('request-invalid', `request: ${what}`, { expected, got });
}
