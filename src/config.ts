/** Configuration, pure: flags over environment over file over defaults, merged and checked once. */
import { parse } from 'yaml';
import { buildConfig } from '../schemas/build-config.ts';
import { type JsonSchema, jsonSchemaOf } from '../schemas/json-schema.ts';
import { labelConfig } from '../schemas/label-config.ts';
import { serveConfig } from '../schemas/serve-config.ts';
import { doctorConfig } from '../schemas/teacher-server.ts';
import { nearestKey } from './config/nearest-key.ts';
import { refusal, unknownKey } from './config/refusal.ts';
import { isLeaf, nodesAt, pathsOf, propertyOf, valueAt } from './config/schema.ts';
import { LogitcaskError } from './errors.ts';

/** What a verb may be configured by; `store` is for those that only read one. */
const documents = {
  build: buildConfig,
  label: labelConfig,
  doctor: doctorConfig,
  serve: serveConfig,
  store: serveConfig.pick({ store: true }),
} as const;

export type ConfigDocument = keyof typeof documents;
export type Config<D extends ConfigDocument> = ReturnType<(typeof documents)[D]['parse']>;
export type Settings = Readonly<Record<string, unknown>>;

/** One setting as text, from a flag or a variable; numbers, booleans and lists are read from it. */
export interface TextSetting {
  /** Where it comes from, for errors: `--k`, `LOGITCASK_SPARSIFIER__K`. */
  readonly origin: string;
  /** `sparsifier.k` */
  readonly path: string;
  readonly text: string;
}

export interface ConfigInput {
  readonly file?: { readonly name: string; readonly settings: Settings };
  /** `LOGITCASK_STORE`, `LOGITCASK_SOURCE__TYPE`: two underscores go one level down. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly flags?: readonly TextSetting[];
}

const prefix = 'LOGITCASK_';
/** Variables that are no settings. */
const otherVariables: readonly string[] = ['LOGITCASK_TOKEN'];

/** Reads YAML or JSON (which is YAML). Throws `config-unreadable`. */
export function parseConfigText(text: string, name: string): Settings {
  try {
    const settings: unknown = parse(text, { logLevel: 'error' }) ?? {};
    if (isObject(settings)) return settings;
    throw new Error('it is not a mapping of keys to values');
  } catch (cause) {
    const [line] = (cause as Error).message.split('\n');
    const message = `config: ${name} cannot be parsed: ${line.replace(/:$/, '')}; correct it`;
    throw new LogitcaskError('config-unreadable', message, { expected: 'YAML or JSON', cause });
  }
}

/** Merges and checks. Throws `config-invalid` with the path, what was expected and what came. */
export function resolveConfig<D extends ConfigDocument>(
  document: D,
  { file, environment = {}, flags = [] }: ConfigInput,
): Config<D> {
  const empty = flags.find(({ text }) => text === '');
  if (empty !== undefined) {
    const message = `config: ${empty.origin} is empty; give a value, or leave it out`;
    throw new LogitcaskError('config-invalid', message, { expected: 'a value', got: '' });
  }
  const schema = jsonSchemaOf(documents[document]);
  const variables = fromEnvironment(environment).filter(({ path }) => isLeaf(schema, path));
  const given = [file?.settings ?? {}, fromTexts(schema, variables), fromTexts(schema, flags)];
  const above = given.reduce<unknown>(overlay, {});
  const layers = [documents[document].parse({}), defaultsOfFormat(above), above];
  const merged = namedVariant(schema, layers.reduce(overlay) as Settings, 'sparsifier');
  const result = documents[document].safeParse(merged);
  if (result.success) return result.data as Config<D>;
  const texts = [...flags, ...variables];
  const originOf = (path: string) =>
    texts.find((text) => `${path}.`.startsWith(`${text.path}.`))?.origin ??
    (file && valueAt(file.settings, path.split('.')) !== undefined ? file.name : 'the defaults');
  throw refusal(result.error.issues, { schema, merged, originOf });
}

/** Parquet holds columns for other programs, so that its codec is `plain` where none is named. */
function defaultsOfFormat(given: unknown): Settings {
  return isObject(given) && given.format === 'parquet' ? { codec: { type: 'plain' } } : {};
}

/** The defaults of settings by path, as flags would give them; undefined where there is none. */
export function defaultsOf(document: ConfigDocument): (path: string) => string | undefined {
  const standard = documents[document].parse({});
  return (path) => {
    const value = valueAt(standard, path.split('.'));
    return value === undefined ? undefined : String(value);
  };
}

function isObject(value: unknown): value is Settings {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Objects are merged key by key; a variant of another `type` replaces the one before whole. */
function overlay(below: unknown, above: unknown): unknown {
  if (!isObject(below) || !isObject(above)) return above;
  const replaces = above.type !== undefined && above.type !== below.type;
  const merged = new Map(replaces ? [] : Object.entries(below));
  for (const [key, value] of Object.entries(above)) {
    merged.set(key, merged.has(key) ? overlay(merged.get(key), value) : value);
  }
  return Object.fromEntries(merged);
}

/** `{k: 16}` is a variant without its `type`: the first one that knows all its settings. */
function namedVariant(schema: JsonSchema, settings: Settings, key: string): Settings {
  const value = settings[key];
  if (!isObject(value) || value.type !== undefined) return settings;
  const keys = Object.keys(value);
  const types = nodesAt(schema, [key]).flatMap((node) =>
    keys.every((name) => propertyOf(node, name)) ? [propertyOf(node, 'type')?.const] : [],
  );
  return types.length === 0 ? settings : { ...settings, [key]: { type: types[0], ...value } };
}

function fromEnvironment(environment: NonNullable<ConfigInput['environment']>): TextSetting[] {
  const ours = Object.entries(environment).filter(
    ([origin, text = '']) =>
      origin.startsWith(prefix) && text !== '' && !otherVariables.includes(origin),
  );
  if (ours.length === 0) return []; // schemas of all documents take a while
  const schemas = Object.values(documents).map(jsonSchemaOf);
  const settings: TextSetting[] = [];
  for (const [origin, text = ''] of ours) {
    const path = origin.slice(prefix.length).toLowerCase().replaceAll('__', '.');
    if (!schemas.some((schema) => isLeaf(schema, path))) {
      const leaves = schemas.flatMap((s) => pathsOf(s).filter((known) => isLeaf(s, known)));
      const names = leaves.map((known) => prefix + known.replaceAll('.', '__').toUpperCase());
      throw unknownKey(`the variable ${origin}`, nearestKey(origin, names));
    }
    settings.push({ origin, path, text });
  }
  return settings;
}

function fromTexts(schema: JsonSchema, texts: readonly TextSetting[]): Settings {
  const settings: Record<string, unknown> = {};
  for (const { path, text } of texts) {
    const keys = path.split('.');
    let at = settings;
    for (const key of keys.slice(0, -1)) {
      at[key] ??= {};
      at = at[key] as Record<string, unknown>;
    }
    at[keys[keys.length - 1]] = readText(nodesAt(schema, keys), text);
  }
  return settings;
}

/** Text where only text fits (a data set may be called `2024`), otherwise what YAML makes of it. */
function readText(nodes: readonly JsonSchema[], text: string): unknown {
  if (nodes.every(({ type }) => type === 'string')) return text;
  const isList = nodes.some(({ type }) => type === 'array') && !text.trim().startsWith('[');
  try {
    return parse(isList ? `[${text}]` : text, { logLevel: 'error' });
  } catch {
    return text; // the check names it
  }
}
