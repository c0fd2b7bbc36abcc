/**
 * The bytes of tokens: which id has them, for servers that tell tokens by their text alone, and how
 * a vocabulary spells them.
 */
import { LogitcaskError } from '../errors.ts';

interface Part {
  readonly type?: string;
  readonly pattern?: { readonly String?: string };
  readonly decoders?: readonly Part[];
  readonly pretokenizers?: readonly Part[];
}

export interface VocabularyDocument {
  readonly model: {
    /** A list of [token, score] in Unigram models. */
    readonly vocab: Record<string, number> | readonly (readonly [string, number])[];
    readonly byte_fallback?: boolean;
  };
  readonly added_tokens?: readonly { readonly id: number; readonly content: string }[];
  readonly decoder?: Part | null;
  readonly pre_tokenizer?: Part | null;
}

export type IdOf = (bytes: Uint8Array) => number | undefined;

/** Several ids have the same bytes. */
const several = -1;

/**
 * Undefined where no id or several have the bytes. Throws `source-mismatch` where the tokens of a
 * tokenizer are not made of bytes.
 */
export function openTokenBytes(document: VocabularyDocument): IdOf {
  const bytesOf = spelling(document);
  if (bytesOf === undefined) throw noBytes(document);
  const ids = new Map<string, number>();
  const put = (bytes: Uint8Array, id: number) => {
    const key = keyOf(bytes);
    ids.set(key, ids.has(key) ? several : id);
  };
  for (const { id, text, isAdded } of tokensOf(document)) {
    put(isAdded ? Buffer.from(text) : bytesOf(text), id);
  }
  return (bytes) => {
    const id = ids.get(keyOf(bytes));
    return id === several ? undefined : id;
  };
}

/** Every token as the document writes it; added ones stand as they are, also over others. */
export function* tokensOf({
  model: { vocab },
  added_tokens = [],
}: VocabularyDocument): Generator<{ id: number; text: string; isAdded: boolean }> {
  const added = new Map(added_tokens.map(({ id, content }) => [id, content]));
  for (const [id, text] of added) yield { id, text, isAdded: true };
  const entries = Array.isArray(vocab)
    ? vocab.map(([text], id) => [text, id] as const)
    : Object.entries(vocab as Record<string, number>);
  for (const [text, id] of entries) if (!added.has(id)) yield { id, text, isAdded: false };
}

function keyOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

/**
 * How a vocabulary writes bytes, told by what the tokenizer decodes with; undefined where its
 * tokens are not made of bytes.
 */
export function spelling(
  document: VocabularyDocument,
): ((token: string) => Uint8Array) | undefined {
  const parts = [...flat(document.decoder), ...flat(document.pre_tokenizer)];
  const has = (type: string) => parts.some((part) => part.type === type);
  if (has('ByteLevel')) return byteLevel;
  const isSpaced = has('Metaspace') || parts.some(({ pattern }) => pattern?.String === '▁');
  if (!isSpaced) return undefined;
  return spaced(has('ByteFallback') || document.model.byte_fallback === true);
}

function noBytes(document: VocabularyDocument): LogitcaskError {
  const message =
    'capture: ids cannot be told from the bytes of tokens with this tokenizer, which is neither ' +
    'byte-level nor sentencepiece-like; use a server that gives ids, or ask for no log-probs';
  const got = document.decoder?.type ?? 'no decoder';
  const expected = 'ByteLevel or Metaspace';
  return new LogitcaskError('source-mismatch', message, { expected, got });
}

function flat(part: Part | null | undefined): Part[] {
  if (part === null || part === undefined) return [];
  return [part, ...[...(part.decoders ?? []), ...(part.pretokenizers ?? [])].flatMap(flat)];
}

/** Printable bytes of Latin-1 stand for themselves, the others for U+0100 and on, in order. */
const byteOfCharacter = new Map<string, number>();
for (let byte = 0, shift = 0; byte < 256; byte++) {
  const stands = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  byteOfCharacter.set(String.fromCharCode(stands ? byte : 0x100 + shift++), byte);
}

function byteLevel(token: string): Uint8Array {
  const bytes = [...token].map((character) => byteOfCharacter.get(character));
  return bytes.includes(undefined) ? Buffer.from(token) : Uint8Array.from(bytes as number[]);
}

function spaced(hasBytes: boolean): (token: string) => Uint8Array {
  return (token) => {
    const byte = hasBytes ? /^<0x([0-9A-F]{2})>$/i.exec(token) : null;
    if (byte !== null) return Uint8Array.of(Number.parseInt(byte[1], 16));
    return Buffer.from(token.replaceAll('▁', ' '));
  };
}
