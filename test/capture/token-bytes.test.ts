import { readFileSync } from 'node:fs';
import { Tokenizer } from '@huggingface/tokenizers';
import { describe, expect, it } from 'vitest';
import { openTokenBytes } from '../../src/capture/token-bytes.ts';

const bytes = (text: string) => Buffer.from(text);

describe('the id of a token by its bytes', () => {
  it('is that of every token of a byte-level vocabulary which decodes to a text of its own', () => {
    const document = JSON.parse(readFileSync('bench/data/small-lm/tokenizer.json', 'utf8'));
    const idOf = openTokenBytes(document);
    const tokenizer = new Tokenizer(document, { clean_up_tokenization_spaces: false });
    let told = 0;
    for (let id = 0; id < 8192; id++) {
      const text = tokenizer.decode([id], { skip_special_tokens: false });
      if (text.includes('�')) continue; // a part of a character
      expect(idOf(bytes(text)), text).toBe(id);
      told++;
    }
    expect(told).toBeGreaterThan(8000);
    const single = new Set(Array.from({ length: 256 }, (_, byte) => idOf(Uint8Array.of(byte))));
    expect(single.size).toBe(256);
    expect(single).not.toContain(undefined);
  });

  const spaced = {
    model: {
      vocab: { '<unk>': 0, '<s>': 1, '<0x0A>': 2, '<0x41>': 3, '▁the': 4, the: 5, A: 6, '▁': 7 },
      byte_fallback: true,
    },
    added_tokens: [
      { id: 1, content: '<s>' },
      { id: 8, content: ' the' },
    ],
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
      ],
    },
  };

  it('knows the spaces and bytes of sentencepiece, and added tokens', () => {
    const idOf = openTokenBytes(spaced);
    expect(idOf(bytes('the'))).toBe(5);
    expect(idOf(bytes(' '))).toBe(7);
    expect(idOf(bytes('\n'))).toBe(2);
    expect(idOf(bytes('<s>'))).toBe(1);
    expect(idOf(bytes('<unk>'))).toBe(0);
  });

  it('is not told where several have the bytes, or none', () => {
    const idOf = openTokenBytes(spaced);
    expect(idOf(bytes('A'))).toBeUndefined(); // A and <0x41>
    expect(idOf(bytes(' the'))).toBeUndefined(); // a token and an added one
    expect(idOf(bytes('nothing'))).toBeUndefined();
    expect(idOf(bytes(''))).toBeUndefined();
  });

  it('takes the place of a Unigram token for its id', () => {
    const vocab = [
      ['<unk>', 0],
      ['▁a', -1],
      ['b', -2],
    ] as const;
    const idOf = openTokenBytes({ model: { vocab }, decoder: { type: 'Metaspace' } });
    expect([idOf(bytes(' a')), idOf(bytes('b'))]).toEqual([1, 2]);
  });

  it('refuses a vocabulary that is not of bytes', () => {
    const document = { model: { vocab: { '##ing': 0 } }, decoder: { type: 'WordPiece' } };
    expect(() => openTokenBytes(document)).toThrow(/neither byte-level nor sentencepiece-like/);
  });
});
