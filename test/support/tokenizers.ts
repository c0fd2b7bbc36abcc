/** Small tokenizer.json documents. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special?: boolean;
  readonly lstrip?: boolean;
}

export const pieces = ['a', 'b', 'c', 'ab', 'bc', 'abc'];

export function bpe(added: readonly AddedToken[] = [], more: object = {}) {
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: null,
    model: {
      type: 'BPE',
      vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])) as Record<string, number>,
      merges: ['a b', 'b c', 'a bc'],
      ...more,
    },
  };
}

export const bytesOf = (document: unknown): Buffer => Buffer.from(JSON.stringify(document));
