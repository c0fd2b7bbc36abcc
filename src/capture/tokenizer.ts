/** Tokenizers from `tokenizer.json`; the file's digest is part of the teacher's identity. */
import { Tokenizer } from '@huggingface/tokenizers';
import { LogitcaskError } from '../errors.ts';
import { sha256Hex } from '../formats/canonical.ts';
import { type IdOf, openTokenBytes, type VocabularyDocument } from './token-bytes.ts';

export interface TextTokenizer {
  /** SHA-256 (hex) of tokenizer.json. */
  readonly digest: string;
  /** Highest id + 1. */
  readonly size: number;
  /** The first special token, which parts documents: `<|endoftext|>` in most tokenizers. */
  readonly separator: number | undefined;
  /** Token ids; with the special tokens of the tokenizer's own template where a text begins. */
  encode(text: string, isBeginning?: boolean): Int32Array;
  /** The id of a token by its bytes; undefined where no id or several have them. */
  readonly idOf: IdOf;
  /** Text of tokens, without special ones and without bytes that are no whole character. */
  decode(tokens: Iterable<number>): string;
  /** The same with special tokens, and � for such bytes. */
  decodeAll(tokens: Iterable<number>): string;
}

interface TokenizerDocument extends VocabularyDocument {
  added_tokens?: { id: number; content: string; special?: boolean }[];
}

/** Throws `source-unreadable` where the bytes are no tokenizer.json. */
export function openTokenizer(bytes: Buffer, file: string): TextTokenizer {
  try {
    const document = JSON.parse(bytes.toString()) as TokenizerDocument;
    const tokenizer = new Tokenizer(document, {});
    const added = document.added_tokens ?? [];
    const { vocab } = document.model;
    const ids = Array.isArray(vocab) ? vocab.keys() : Object.values(vocab);
    let last = Math.max(-1, ...added.map(({ id }) => id));
    for (const id of ids) if (id > last) last = id;
    let idOf: IdOf | undefined;
    const textOf = (tokens: Iterable<number>, options: { skip_special_tokens: boolean }) => {
      const ids = [...tokens];
      if (ids.length === 0) return ''; // the library takes none for a mistake
      return tokenizer.decode(ids, { ...options, clean_up_tokenization_spaces: false });
    };
    return {
      digest: sha256Hex(bytes),
      size: last + 1,
      separator: added.find(({ special }) => special === true)?.id,
      encode: (text, isBeginning = false) =>
        Int32Array.from(tokenizer.encode(text, { add_special_tokens: isBeginning }).ids),
      idOf(text) {
        idOf ??= openTokenBytes(document);
        return idOf(text);
      },
      decode: (tokens) => textOf(tokens, { skip_special_tokens: true }).replaceAll('\ufffd', ''),
      decodeAll: (tokens) => textOf(tokens, { skip_special_tokens: false }),
    };
  } catch (cause) {
    const message = `capture: ${file} is no tokenizer.json (${(cause as Error).message})`;
    throw new LogitcaskError('source-unreadable', message, { cause });
  }
}
