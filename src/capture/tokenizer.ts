/** Tokenizers from `tokenizer.json`; the file's digest is part of the teacher's identity. */
import { Tokenizer } from '@huggingface/tokenizers';
import { LogitcaskError } from '../errors.ts';
import { sha256Hex } from '../formats/canonical.ts';

export interface TextTokenizer {
  /** SHA-256 (hex) of tokenizer.json. */
  readonly digest: string;
  /** Highest id + 1. */
  readonly size: number;
  /** The first special token, which parts documents: `<|endoftext|>` in most tokenizers. */
  readonly separator: number | undefined;
  /** Token ids; with the special tokens of the tokenizer's own template where a text begins. */
  encode(text: string, isBeginning?: boolean): Int32Array;
  /** Special tokens included. */
  decode(ids: readonly number[]): string;
}

interface TokenizerDocument {
  model: { vocab: Record<string, number> | unknown[] }; // a list in Unigram models
  added_tokens?: { id: number; special?: boolean }[];
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
    return {
      digest: sha256Hex(bytes),
      size: last + 1,
      separator: added.find(({ special }) => special === true)?.id,
      encode: (text, isBeginning = false) =>
        Int32Array.from(tokenizer.encode(text, { add_special_tokens: isBeginning }).ids),
      decode: (ids) =>
        ids.length === 0
          ? ''
          : tokenizer.decode([...ids], {
              skip_special_tokens: false,
              clean_up_tokenization_spaces: false,
            }),
    };
  } catch (cause) {
    const message = `capture: ${file} is no tokenizer.json (${(cause as Error).message})`;
    throw new LogitcaskError('source-unreadable', message, { cause });
  }
}
