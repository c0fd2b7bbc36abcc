/** Names of stored things: relative, plain, never a way out of the store. */
import { LogitcaskError } from '../errors.ts';

const segment = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/**
 * Throws `name-invalid` on anything but segments of letters, digits, `.`, `_`, `-` joined by `/`.
 */
export function checkName(name: string): string {
  if (name.length <= 512 && name.split('/').every((part) => segment.test(part))) return name;
  throw new LogitcaskError('name-invalid', `store: ${JSON.stringify(name)} cannot be a name`, {
    expected: 'segments of letters, digits, `.`, `_` and `-`, joined by `/`',
    got: name,
  });
}
