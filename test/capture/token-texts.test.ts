import { readFileSync } from 'node:fs';
import { Tokenizer } from '@huggingface/tokenizers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openTokenBytes, tokensOf } from '../../src/capture/token-bytes.ts';
import { packTokenTexts, textOfToken } from '../../src/capture/token-texts.ts';

const packed = (document: object) => packTokenTexts(Buffer.from(JSON.stringify(document)));
const bytesToUnicode = (bytes: Uint8Array) =>
  [...bytes]
    .map((byte) => {
      const stands = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
      const hidden = Array.from({ length: byte }, (_, b) => b).filter(
        (b) => !((b > 0x20 && b < 0x7f) || (b > 0xa0 && b !== 0xad)),
      );
      return String.fromCharCode(stands ? byte : 0x100 + hidden.length);
    })
    .join('');
const byteLevel = (vocab: Record<string, number>, added: object[] = []) => ({
  model: { vocab },
  added_tokens: added,
  decoder: { type: 'ByteLevel' },
});

describe('the text of a token', () => {
  it.each(['bench/data/small-lm/tokenizer.json', 'data/kjv-tokenizer-8192.json'])(
    'is what the tokenizer decodes it to, in %s',
    (file) => {
      const bytes = readFileSync(file);
      const document = JSON.parse(bytes.toString());
      const texts = packTokenTexts(bytes);
      const tokenizer = new Tokenizer(document, {});
      const options = { skip_special_tokens: false, clean_up_tokenization_spaces: false };
      const ids = [...tokensOf(document)].map(({ id }) => id);
      expect(ids.length).toBeGreaterThan(8000);
      for (const id of ids) {
        const decoded = tokenizer.decode([id], options);
        if (decoded.includes('�')) expect(textOfToken(texts, id)).toMatch(/\\x[0-9a-f]{2}/);
        else expect(textOfToken(texts, id)).toBe(decoded);
      }
    },
  );

  it('shows bytes that are no whole character as such, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 12 }), (bytes) => {
        const text = textOfToken(packed(byteLevel({ [bytesToUnicode(bytes)]: 0 })), 0) ?? '';
        const back = text.replaceAll(/\\x([0-9a-f]{2})/g, (_, hex) =>
          String.fromCharCode(0xe000 + Number.parseInt(hex, 16)),
        );
        const parts = [...back].map((character) => {
          const code = character.codePointAt(0) ?? 0;
          const isByte = code >= 0xe000 && code < 0xe100;
          return isByte ? Buffer.of(code - 0xe000) : Buffer.from(character);
        });
        fc.pre(!bytes.includes(0x5c) && !bytes.includes(0xee));
        expect(Buffer.concat(parts)).toEqual(Buffer.from(bytes));
      }),
    );
    const half = packed(byteLevel({ [bytesToUnicode(Buffer.from('€ü').subarray(0, 4))]: 0 }));
    expect(textOfToken(half, 0)).toBe('€\\xc3');
  });

  it('is that of an added token as it stands, and none where no token has the id', () => {
    const document = byteLevel({ a: 0, Ġb: 3, x: 5 }, [{ id: 5, content: '<|end|>' }]);
    const texts = packed(document);
    const all = [0, 1, 3, 5, 6, 1e9, -1].map((id) => textOfToken(texts, id));
    expect(all).toEqual(['a', null, ' b', '<|end|>', null, null, null]);
  });

  it('is the spelling of a vocabulary that is not made of bytes', () => {
    const document = { model: { vocab: { '##ing': 1 } }, decoder: { type: 'WordPiece' } };
    expect(() => openTokenBytes(document)).toThrow(/neither/);
    expect(textOfToken(packed(document), 1)).toBe('##ing');
  });

  it.each(['', '{}', 'null', '{"model":{"vocab":{"a":-1}}}', '{"model":{"vocab":{"a":1e9}}}'])(
    'is refused in %j',
    (text) => {
      expect(() => packTokenTexts(Buffer.from(text))).toThrow(
        expect.objectContaining({ code: 'source-unreadable' }),
      );
    },
  );
});
