/** JSON lines of images: their references, and what each of their positions is. */
import type { InputField } from '../../schemas/manifest.ts';
import { LogitcaskError } from '../errors.ts';
import { canonicalJson, sha256Hex } from '../formats/canonical.ts';
import { readJsonLines } from '../formats/jsonl.ts';
import { bytesOf, numberArrays } from '../formats/layout.ts';
import { readInput } from './input-file.ts';
import type { SampleInput } from './source.ts';

/** Names that an augmentation's parameters have as columns begin so. */
const augmentation = 'augmentation_';

export interface Pipeline {
  /** SHA-256 (hex) of the description's bytes. */
  readonly digest: string;
  readonly parameters: Readonly<Record<string, InputField['type']>>;
}

/** Reads a description: JSON with `parameters`, an object of types by name. */
export async function readPipeline(file: string): Promise<Pipeline> {
  const bytes = await readInput(file);
  const refuse = (got: unknown) => {
    const message = `capture: ${file} is no description of a pipeline; give JSON with parameters`;
    const expected = `{"parameters": {NAME: ${Object.keys(numberArrays).join(' or ')}}}`;
    return new LogitcaskError('source-unreadable', message, { expected, got });
  };
  let parameters: unknown;
  try {
    ({ parameters } = Object(JSON.parse(bytes.toString())));
  } catch (cause) {
    throw refuse((cause as Error).message);
  }
  if (typeof parameters !== 'object' || parameters === null) throw refuse(parameters);
  for (const [name, type] of Object.entries(parameters)) {
    if (
      !/^[a-z][a-z0-9_]{0,31}$/.test(name) ||
      name === 'seed' ||
      !Object.keys(numberArrays).includes(type)
    ) {
      throw refuse({ [name]: type });
    }
  }
  return { digest: sha256Hex(bytes), parameters: parameters as Pipeline['parameters'] };
}

const lineKeys: readonly string[] = [
  'sha256',
  'uri',
  'positions',
  'hard_label',
  'geometry',
  'seed',
  'params',
  'mask',
  'meta',
] satisfies (keyof ImageLine)[];

/** What a line may say, beside the image: lists with an item a position. */
interface ImageLine {
  readonly sha256?: unknown;
  readonly uri?: unknown;
  readonly positions?: unknown;
  readonly hard_label?: unknown;
  readonly geometry?: unknown;
  readonly seed?: unknown;
  readonly params?: unknown;
  readonly mask?: unknown;
  readonly meta?: unknown;
}

/** The fields of a file's images, by its first line. Throws `source-unreadable`. */
export async function fieldsOf(file: string, pipeline?: Pipeline): Promise<InputField[]> {
  for await (const { value, line } of readJsonLines(file)) {
    const { hard_label, geometry, seed } = Object(value) as ImageLine;
    const fields: InputField[] = [];
    if (hard_label !== undefined) fields.push({ name: 'hard_label', type: 'int32', items: 1 });
    if (geometry !== undefined) fields.push({ name: 'geometry', type: 'float32', items: 4 });
    if (seed === undefined && pipeline === undefined) return fields;
    if (pipeline === undefined || seed === undefined) {
      throw wrong(
        file,
        line,
        'seeds and a description of their pipeline, or neither',
        seed ?? 'none',
      );
    }
    fields.push({ name: `${augmentation}seed`, type: 'uint64', items: 1 });
    for (const [name, type] of Object.entries(pipeline.parameters)) {
      fields.push({ name: augmentation + name, type, items: 1 });
    }
    return fields;
  }
  throw wrong(file, 1, 'an image', 'nothing');
}

/** What `readImages` reads. */
export interface Images {
  readonly file: string;
  readonly fields: readonly InputField[];
  /** Of the scores: the images have as many in all. */
  readonly positions: number;
  /** The images are read as well: positions by default, and a line need not say its digest. */
  readonly usual?: number;
}

/** Images in order. Throws `source-unreadable`, `source-mismatch`. */
export async function* readImages(images: Images): AsyncGenerator<SampleInput> {
  const { file, fields, positions, usual } = images;
  const declared = fields
    .filter(({ name }) => name.startsWith(augmentation) && name !== `${augmentation}seed`)
    .map(({ name }) => name.slice(augmentation.length));
  let ordinal = 0;
  let keys: readonly string[] | undefined;
  for await (const { value, line } of readJsonLines(file)) {
    const place = { file, line };
    keys ??= knownKeys(value, place);
    sameKeys(value, keys, { what: 'the keys of the first line', place });
    const { params = {} } = Object(value) as ImageLine;
    sameKeys(params, declared, { what: 'the `params` that the pipeline declares', place });
    yield imageOf(value, { ordinal: ordinal++, fields, positions, usual, place });
  }
}

/** Those of the first line, which all have: a list that some lack would be read of none. */
function knownKeys(value: unknown, { file, line }: Place): readonly string[] {
  const keys = Object.keys(Object(value));
  const unknown = keys.find((key) => !lineKeys.includes(key));
  if (unknown === undefined) return keys;
  throw wrong(file, line, `keys of ${lineKeys.join(', ')} alone`, unknown);
}

function sameKeys(
  value: unknown,
  expected: readonly string[],
  { what, place: { file, line } }: { what: string; place: Place },
): void {
  const keys = Object.keys(Object(value));
  if (keys.length === expected.length && keys.every((key) => expected.includes(key))) return;
  throw wrong(file, line, `${what} (${expected.join(', ') || 'none'})`, keys);
}

interface Place {
  readonly file: string;
  readonly line: number;
}

function imageOf(
  value: unknown,
  {
    ordinal,
    fields,
    positions,
    usual,
    place,
  }: Omit<Images, 'file'> & { ordinal: number; place: Place },
): SampleInput {
  const { file, line } = place;
  const image = Object(value) as ImageLine;
  const { sha256, uri, meta = {} } = image;
  const isDigest = typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256);
  const isLater = sha256 === undefined && usual !== undefined;
  if (!(isDigest || isLater) || typeof uri !== 'string') {
    throw wrong(file, line, '`uri` and `sha256` (64 hex digits) of the image', { uri, sha256 });
  }
  if (typeof meta !== 'object' || meta === null) throw wrong(file, line, 'an object `meta`', meta);
  const count = countOf(image, place, usual);
  // before anything is made of so many
  if (count > positions) throw mismatch('the images have more positions', positions, count);
  const values = fields.map((field) => valuesOf(image, { field, count, place }));
  const mask = listOf(image.mask ?? true, { name: 'mask', count, place });
  const labels = fields.findIndex(({ name }) => name === 'hard_label');
  return {
    ordinal,
    tokens: new Int32Array(0),
    mask: Uint8Array.from(mask, (flag) => {
      if (typeof flag === 'boolean') return Number(flag);
      throw wrong(file, line, 'booleans in `mask`', flag);
    }),
    meta: meta as Record<string, unknown>,
    image: {
      ref: canonicalJson({ sha256, uri }),
      values,
      labels:
        labels < 0
          ? new Int32Array(count).fill(-100)
          : new Int32Array(values[labels].slice().buffer),
    },
  };
}

/** As many as are named, or as the first list has. */
function countOf(image: ImageLine, place: Place, usual = 1) {
  const { positions, geometry, seed, hard_label: label } = image;
  const list = [geometry, seed, label].find(Array.isArray);
  const count = positions ?? list?.length ?? usual;
  if (Number.isInteger(count) && (count as number) >= 1) return count as number;
  throw wrong(place.file, place.line, '`positions`, or lists of at least one', count);
}

/** An item a position; one alone stands for all of them. */
function listOf(
  value: unknown,
  { name, count, place: { file, line } }: { name: string; count: number; place: Place },
): readonly unknown[] {
  const list = Array.isArray(value) ? value : new Array(count).fill(value);
  if (list.length === count && list[0] !== undefined) return list;
  throw wrong(
    file,
    line,
    `${count} values of \`${name}\``,
    value === undefined ? 'none' : list.length,
  );
}

function valuesOf(
  image: ImageLine,
  { field, count, place }: { field: InputField; count: number; place: Place },
): Uint8Array {
  const { name, type, items } = field;
  const parameter = name.slice(augmentation.length);
  const given = name.startsWith(augmentation)
    ? parameter === 'seed'
      ? image.seed
      : Object(image.params)[parameter]
    : image[name as 'hard_label' | 'geometry'];
  const list = listOf(given, { name, count, place });
  const out = new numberArrays[type](count * items);
  list.forEach((item, t) => {
    const own = items === 1 ? [item] : item;
    if (!Array.isArray(own) || own.length !== items) {
      throw wrong(place.file, place.line, `${items} numbers in each item of \`${name}\``, item);
    }
    own.forEach((value, i) => {
      out[t * items + i] = numberOf(value, { type, name, place }) as never;
    });
  });
  return bytesOf(out);
}

/** A value that its type holds; uint64 beyond 2^53 as text. */
function numberOf(
  value: unknown,
  { type, name, place: { file, line } }: { type: InputField['type']; name: string; place: Place },
): number | bigint {
  const refuse = () => wrong(file, line, `${type} in \`${name}\``, value);
  if (type === 'uint64') {
    const isText = typeof value === 'string' && /^[0-9]{1,20}$/.test(value);
    if (!isText && !(Number.isSafeInteger(value) && (value as number) >= 0)) throw refuse();
    const big = BigInt(value as string | number);
    if (big < 2n ** 64n) return big;
    throw refuse();
  }
  const number = typeof value === 'boolean' ? Number(value) : value;
  if (typeof number !== 'number') throw refuse();
  if (type === 'float32' && Number.isFinite(Math.fround(number))) return number;
  if (new numberArrays[type]([number])[0] === number) return number;
  throw refuse();
}

function wrong(file: string, line: number, expected: string, got: unknown): LogitcaskError {
  const message = `capture: line ${line} of ${file} does not have ${expected}; write it again`;
  return new LogitcaskError('source-unreadable', message, { expected, got });
}

export function mismatch(what: string, expected: number, got: number): LogitcaskError {
  const message = `capture: ${what} than there are scores of; take files of one export`;
  return new LogitcaskError('source-mismatch', message, { expected, got });
}
