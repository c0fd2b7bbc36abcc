/** Why a configuration is refused: where the setting came from, what was expected, what came. */
import type { JsonSchema } from '../../schemas/json-schema.ts';
import { LogitcaskError } from '../errors.ts';
import { nearestKey } from './nearest-key.ts';
import { nodesAt, type Path, pathsOf, propertyOf, valueAt } from './schema.ts';

/** What the checker found, as far as it is used here. */
export interface Issue {
  readonly path: Path;
  readonly message: string;
  /** Unknown keys of the object at `path`. */
  readonly keys?: readonly string[];
  /** Of a union: the issues of each variant. */
  readonly errors?: readonly (readonly Issue[])[];
}

export interface Refused {
  readonly schema: JsonSchema;
  readonly merged: unknown;
  /** The flag, variable or file that gave the value at a dotted path. */
  readonly originOf: (path: string) => string;
}

/** An unknown key comes first: what is said to be missing is often what it was meant to be. */
export function refusal(issues: readonly Issue[], refused: Refused): LogitcaskError {
  const unknown = issues.find(({ keys }) => keys !== undefined);
  return unknown === undefined ? wrongValue(issues[0], refused) : wrongKey(unknown, refused);
}

export function unknownKey(what: string, near: string): LogitcaskError {
  const message = `config: ${what} is not known; the nearest is \`${near}\``;
  return new LogitcaskError('config-invalid', message, { expected: near, got: what });
}

function wrongKey({ path, keys = [] }: Issue, refused: Refused): LogitcaskError {
  const { schema, merged, originOf } = refused;
  const full = [...path, keys[0]].map(String).join('.');
  const what = `\`${full}\` from ${originOf(full)}`;
  const owner = nodesAt(schema, path).find((node) => propertyOf(node, keys[0]) !== undefined);
  if (owner === undefined) return unknownKey(what, nearestKey(full, pathsOf(schema)));
  const needed = propertyOf(owner, 'type')?.const;
  const setting = [...path, 'type'].map(String).join('.');
  const got = valueAt(merged, [...path, 'type']);
  const message = `config: ${what} belongs to ${setting} \`${needed}\`, but that is \`${got}\``;
  return new LogitcaskError('config-invalid', message, { expected: needed, got });
}

function wrongValue({ path, message, errors }: Issue, refused: Refused): LogitcaskError {
  const dotted = path.map(String).join('.');
  const expected = expectedOf(message, errors);
  const got = valueAt(refused.merged, path);
  const from = refused.originOf(dotted);
  const is = got === undefined ? 'is missing' : `from ${from} is ${JSON.stringify(got)}`;
  const text = `config: \`${dotted}\` ${is}; expected ${expected}`;
  return new LogitcaskError('config-invalid', text, { expected, got: got ?? null });
}

/** What the checker's sentence says was expected; of a union, what any variant would take. */
function expectedOf(message: string, errors: Issue['errors'] = []): string {
  if (errors.length > 0) {
    return errors.map(([issue]) => expectedOf(issue.message, issue.errors)).join(', or ');
  }
  const words = /expected (.*?)(, received .*)?$/i.exec(message)?.[1] ?? message;
  return words.replace(' to be', '').replaceAll(/["']/g, '`');
}
