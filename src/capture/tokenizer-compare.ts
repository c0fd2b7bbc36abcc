/** Two tokenizer.json: do they give the same text the same ids, and which added tokens differ? */
import { LogitcaskError } from '../errors.ts';
import { canonicalJson } from '../formats/canonical.ts';

/**
 * `same`: the same ids for every text. `padded`: for every text without the added tokens that are
 * listed; ids by content, of the one and of the other. `different`: by what is named first.
 */
export type TokenizerComparison =
  | { readonly kind: 'same' }
  | {
      readonly kind: 'padded';
      readonly teacherOnly: Readonly<Record<string, number>>;
      readonly studentOnly: Readonly<Record<string, number>>;
      /** In both, under another id, or added in the one and an ordinary token in the other. */
      readonly moved: Readonly<Record<string, readonly [teacher: number, student: number]>>;
    }
  | { readonly kind: 'different'; readonly difference: string };

interface Tokenizer {
  readonly document: Readonly<Record<string, unknown>>;
  readonly model: Readonly<Record<string, unknown>>;
  /** Ids by content, added tokens included. */
  readonly ids: ReadonlyMap<string, number>;
  readonly added: ReadonlyMap<string, Readonly<Record<string, unknown>>>;
}

/** What decides how a text becomes pieces; templates and decoders do not. */
const sections = ['normalizer', 'pre_tokenizer'];
const flags = ['lstrip', 'rstrip', 'normalized', 'single_word'];

/** Throws `source-unreadable`. */
export function compareTokenizers(teacher: Uint8Array, student: Uint8Array): TokenizerComparison {
  const [a, b] = [parsed(teacher, "the teacher's"), parsed(student, "the student's")];
  const difference = differenceOf(a, b);
  if (difference !== undefined) return { kind: 'different', difference };
  const own: Record<'teacherOnly' | 'studentOnly', [string, number][]> = {
    teacherOnly: [],
    studentOnly: [],
  };
  const moved: [string, [number, number]][] = [];
  for (const content of new Set([...a.added.keys(), ...b.added.keys()])) {
    const [x, y] = [a.ids.get(content), b.ids.get(content)];
    if (y === undefined) own.teacherOnly.push([content, x as number]);
    else if (x === undefined) own.studentOnly.push([content, y]);
    else if (x !== y || a.added.has(content) !== b.added.has(content)) {
      moved.push([content, [x, y]]);
    }
  }
  if (own.teacherOnly.length + own.studentOnly.length + moved.length === 0) return { kind: 'same' };
  return {
    kind: 'padded',
    teacherOnly: Object.fromEntries(own.teacherOnly),
    studentOnly: Object.fromEntries(own.studentOnly),
    moved: Object.fromEntries(moved),
  };
}

function parsed(bytes: Uint8Array, whose: string): Tokenizer {
  try {
    const document = JSON.parse(Buffer.from(bytes).toString());
    const { model, added_tokens: tokens } = document;
    const vocab: [string, number][] = Array.isArray(model.vocab)
      ? model.vocab.map(([content]: [string], id: number) => [content, id])
      : Object.entries(model.vocab);
    const added = new Map<string, { id: number }>();
    for (const token of tokens ?? []) added.set(token.content, token);
    const ids = new Map(vocab);
    for (const [content, { id }] of added) ids.set(content, id);
    return { document, model, ids, added: added as never };
  } catch (cause) {
    const message = `capture: ${whose} is no tokenizer.json (${(cause as Error).message})`;
    throw new LogitcaskError('source-unreadable', message, { cause });
  }
}

/** The first thing, other than added tokens, that gives a text other ids. */
function differenceOf(a: Tokenizer, b: Tokenizer): string | undefined {
  for (const name of sections) {
    if (text(a.document[name]) !== text(b.document[name])) return name;
  }
  const options = new Set([...Object.keys(a.model), ...Object.keys(b.model)]);
  for (const name of [...options].sort()) {
    if (name === 'vocab' || name === 'merges') continue;
    if (text(a.model[name]) !== text(b.model[name])) return `model.${name}`;
  }
  for (const [content, token] of a.added) {
    const other = b.added.get(content);
    const flag = other && flags.find((name) => text(token[name]) !== text(other[name]));
    if (flag !== undefined) return `${flag} of the added token ${JSON.stringify(content)}`;
  }
  return vocabularyDifference(a, b) ?? listDifference(a.model, b.model);
}

function vocabularyDifference(a: Tokenizer, b: Tokenizer): string | undefined {
  const base = (content: string) => !a.added.has(content) && !b.added.has(content);
  for (const [x, y] of [
    [a, b],
    [b, a],
  ]) {
    for (const [content, id] of x.ids) {
      if (base(content) && y.ids.get(content) !== id) return `the token ${JSON.stringify(content)}`;
    }
  }
  return undefined;
}

/** Merges by rank; scores of Unigram pieces. */
function listDifference(a: Tokenizer['model'], b: Tokenizer['model']): string | undefined {
  for (const name of ['merges', 'vocab']) {
    const [x, y] = [a[name], b[name]];
    if (!Array.isArray(x) || !Array.isArray(y)) {
      if (Array.isArray(x) !== Array.isArray(y)) return `model.${name}`;
      continue;
    }
    const length = name === 'merges' ? Math.max(x.length, y.length) : Math.min(x.length, y.length);
    for (let i = 0; i < length; i++) {
      if (item(x[i]) !== item(y[i])) return `model.${name}, item ${i}`;
    }
  }
  return undefined;
}

/** `["a", "b"]` and `"a b"` are one merge. */
function item(value: unknown): string {
  return Array.isArray(value) ? value.join(' ') : String(value);
}

/** What is left out, null and false are one. */
function text(value: unknown): string {
  return value === undefined || value === null ? 'false' : canonicalJson(value);
}

/** In words, for errors and reports. */
export function describeComparison(comparison: TokenizerComparison): string {
  if (comparison.kind === 'same') return 'the same tokenizer';
  if (comparison.kind === 'different') return `another tokenizer: ${comparison.difference} differs`;
  const { teacherOnly, studentOnly, moved } = comparison;
  const listed = (what: string, tokens: Readonly<Record<string, unknown>>) => {
    const all = Object.entries(tokens).map(([content, ids]) => `${content} ${ids}`);
    return all.length === 0 ? [] : [`${what} ${all.slice(0, 8).join(', ')}${all[8] ? ', …' : ''}`];
  };
  const parts = [
    ...listed("the teacher's alone:", teacherOnly),
    ...listed("the student's alone:", studentOnly),
    ...listed('under other ids:', moved),
  ];
  return `the same text gives the same ids, but added tokens differ (${parts.join('; ')})`;
}
