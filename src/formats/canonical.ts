/** RFC 8785 canonical JSON and the digests taken over it. */
import { hash } from 'node:crypto';
import { LogitcaskError } from '../errors.ts';

/** Keys sorted by UTF-16 code units, no white space, numbers as ECMAScript prints them. */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') {
    return JSON.stringify(value);
  }
  if (typeof value === 'number') {
    if (Number.isFinite(value)) return JSON.stringify(value);
    throw new LogitcaskError('internal', `canonical JSON: ${value} has no representation`);
  }
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value === 'object') {
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`);
    return `{${members.join(',')}}`;
  }
  throw new LogitcaskError('internal', `canonical JSON: a ${typeof value} has no representation`);
}

export function sha256Hex(bytes: Uint8Array | string): string {
  return hash('sha256', bytes);
}

/** SHA-256 (hex) of the canonical JSON of a document. */
export function digestOf(value: unknown): string {
  return sha256Hex(canonicalJson(value));
}
