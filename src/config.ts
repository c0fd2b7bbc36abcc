/** Configuration as a pure function: flags over environment over file, checked once, errors that help. */
import { parse } from 'yaml';
import { LogitcaskError } from './errors.ts';

export type Settings = Record<string, unknown>;

/** A zod schema, as far as this file needs it. */
interface Schema<T> {
  safeParse(
    value: unknown,
  ): { success: true; data: T } | { success: false; error: { issues: readonly Issue[] } };
}

interface Issue {
  readonly code?: string;
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly keys?: readonly string[];
  readonly errors?: readonly (readonly Issue[])[];
}

export interface ConfigInput {
  /** The parsed configuration file, with its name for errors. */
  readonly file?: { readonly name: string; readonly settings: Settings };
  /** `LOGITCASK_STORE`, `LOGITCASK_SOURCE__TYPE`: two underscores go one level down. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly flags?: Settings;
}

const prefix = 'LOGITCASK_';

/** Reads YAML or JSON (which is YAML). Throws `config-unreadable`. */
export function parseConfigText(text: string, name: string): Settings {
  try {
    const settings: unknown = parse(text) ?? {};
    if (typeof settings === 'object' && !Array.isArray(settings)) return settings as Settings;
    throw new Error('it is not a mapping of keys to values');
  } catch (cause) {
    const [line] = (cause as Error).message.split('\n');
    const message = `config: ${name} cannot be parsed: ${line}`;
    throw new LogitcaskError('config-unreadable', message, { expected: 'YAML or JSON', cause });
  }
}

/** Merges and checks. Throws `config-invalid` with the path, what was expected and what came. */
export function resolveConfig<T>(
  schema: Schema<T>,
  known: readonly string[],
  { file, environment = {}, flags = {} }: ConfigInput,
): T {
  const merged = [file?.settings ?? {}, fromEnvironment(environment), flags].reduce(merge, {});
  const result = schema.safeParse(merged);
  if (result.success) return result.data;
  throw invalid(deepest(result.error.issues[0]), { merged, known, file: file?.name });
}

/** Objects are merged key by key; a variant of another `type` replaces the one before whole. */
function merge(below: Settings, above: Settings): Settings {
  const merged: Settings = { ...below };
  for (const [key, value] of Object.entries(above)) {
    if (value === undefined) continue;
    const old = merged[key];
    const both = isObject(old) && isObject(value);
    const sameType = both && (value.type === undefined || value.type === old.type);
    merged[key] = sameType ? merge(old, value) : value;
  }
  return merged;
}

function isObject(value: unknown): value is Settings {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Values are read as YAML, so that numbers, booleans and lists come out as such. */
function fromEnvironment(environment: NonNullable<ConfigInput['environment']>): Settings {
  let settings: Settings = {};
  for (const [name, text] of Object.entries(environment)) {
    if (!name.startsWith(prefix) || text === undefined) continue;
    const path = name.slice(prefix.length).toLowerCase().split('__');
    const value = path.reduceRight<unknown>((inner, key) => ({ [key]: inner }), parse(text));
    settings = merge(settings, value as Settings);
  }
  return settings;
}

/** Of a union's issues, those of the variant that came furthest say the most. */
function deepest(issue: Issue): Issue {
  const branches = (issue.errors ?? []).flat();
  if (branches.length === 0) return issue;
  const best = branches.reduce((a, b) => (b.path.length > a.path.length ? b : a));
  return deepest({ ...best, path: [...issue.path, ...best.path] });
}

function invalid(
  { path, message, keys = [] }: Issue,
  { merged, known, file }: { merged: Settings; known: readonly string[]; file?: string },
): LogitcaskError {
  const where = file === undefined ? 'config' : `config: ${file}`;
  const [unknown] = keys;
  if (unknown !== undefined) {
    const full = [...path.map(String), unknown].join('.');
    const near = nearest(unknown, known);
    const advice = near === undefined ? '' : `; did you mean \`${near}\`?`;
    return new LogitcaskError('config-invalid', `${where}: unknown key \`${full}\`${advice}`, {
      expected: near ?? known,
      got: full,
    });
  }
  const got = path.reduce<unknown>(
    (value, key) => (isObject(value) ? value[String(key)] : undefined),
    merged,
  );
  const text = `${where}: \`${path.join('.')}\` is wrong: ${message}`;
  return new LogitcaskError('config-invalid', text, { expected: message, got: got ?? null });
}

/** The known key with the fewest edits, if they are few enough to be a slip. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const scored = known.map((candidate) => ({ candidate, edits: editDistance(word, candidate) }));
  const best = scored.sort((a, b) => a.edits - b.edits)[0];
  return best !== undefined && best.edits <= Math.max(2, word.length / 3)
    ? best.candidate
    : undefined;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[b.length];
}
