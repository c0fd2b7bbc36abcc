import { readFileSync } from 'node:fs';
import { Tokenizer } from '@huggingface/tokenizers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareTokenizers, describeComparison } from '../../src/capture/tokenizer-compare.ts';
import { type AddedToken, bpe, bytesOf, pieces } from '../support/tokenizers.ts';

const compare = (teacher: unknown, student: unknown) =>
  compareTokenizers(bytesOf(teacher), bytesOf(student));
const end: AddedToken = { id: 6, content: '<end>', special: true };
const pad: AddedToken = { id: 7, content: '<pad>', special: true };

describe('two tokenizers', () => {
  it('are the same however they are written', () => {
    const merges = [
      ['a', 'b'],
      ['b', 'c'],
      ['a', 'bc'],
    ];
    const other = { ...bpe([end], { merges, ignore_merges: false, dropout: null }), decoder: {} };
    expect(compare(bpe([end]), other)).toEqual({ kind: 'same' });
    const real = readFileSync('data/kjv-tokenizer-8192.json');
    expect(compareTokenizers(real, bytesOf(JSON.parse(real.toString())))).toEqual({ kind: 'same' });
  });

  it('are what the golden file says, which the Python client reads as well', () => {
    const cases = readFileSync('test/golden/tokenizers.jsonl', 'utf8').trim().split('\n');
    expect(cases.length).toBeGreaterThan(10);
    for (const { name, teacher, student, expected } of cases.map((line) => JSON.parse(line))) {
      expect({ name, ...compare(teacher, student) }).toEqual({ name, ...expected });
    }
  });

  it('are padded where only added tokens differ, each of them listed', () => {
    const student = bpe([
      { ...pad, id: 6 },
      { id: 7, content: '<x>' },
    ]);
    const found = compare(bpe([end, pad]), student);
    expect(found).toEqual({
      kind: 'padded',
      teacherOnly: { '<end>': 6 },
      studentOnly: { '<x>': 7 },
      moved: { '<pad>': [7, 6] },
    });
    expect(describeComparison(found)).toMatch(/alone: <end> 6.*<x> 7.*<pad> 7,6/);
  });

  it('are padded where one has as an ordinary token what the other adds', () => {
    const vocab = { ...bpe().model.vocab, '<end>': 6 };
    expect(compare(bpe([], { vocab }), bpe([end]))).toMatchObject({
      kind: 'padded',
      moved: { '<end>': [6, 6] },
    });
  });

  it.each<[string, object, string]>([
    ['a token moves', bpe([], { vocab: { ...bpe().model.vocab, a: 1, b: 0 } }), 'the token "a"'],
    [
      'a token is missing',
      bpe([], { vocab: { a: 0, b: 1, c: 2, ab: 3, bc: 4 } }),
      'the token "abc"',
    ],
    ['one has more tokens', bpe([], { vocab: { ...bpe().model.vocab, ba: 6 } }), 'the token "ba"'],
    [
      'merges have another order',
      bpe([], { merges: ['b c', 'a b', 'a bc'] }),
      'model.merges, item 0',
    ],
    ['a merge is missing', bpe([], { merges: ['a b', 'b c'] }), 'model.merges, item 2'],
    ['an option differs', bpe([], { byte_fallback: true }), 'model.byte_fallback'],
    ['the model is another', bpe([], { type: 'WordPiece' }), 'model.type'],
    ['texts are normalised', { ...bpe(), normalizer: { type: 'NFC' } }, 'normalizer'],
    ['texts are parted', { ...bpe(), pre_tokenizer: { type: 'Whitespace' } }, 'pre_tokenizer'],
  ])('are different where %s', (_, student, difference) => {
    expect(compare(bpe(), student)).toEqual({ kind: 'different', difference });
  });

  it('are different where an added token strips the spaces around it', () => {
    const difference = 'lstrip of the added token "<end>"';
    const student = bpe([{ ...end, lstrip: true }]);
    expect(compare(bpe([end]), student)).toEqual({ kind: 'different', difference });
  });

  it('are different where a Unigram piece has another score', () => {
    const unigram = (score: number) =>
      bpe([], {
        type: 'Unigram',
        vocab: [
          ['a', 0],
          ['b', score],
        ],
      });
    const difference = 'model.vocab, item 1';
    expect(compare(unigram(-1), unigram(-2))).toEqual({ kind: 'different', difference });
    expect(compare(unigram(-1), unigram(-1))).toEqual({ kind: 'same' });
  });

  it.each(['no JSON', '{}', '{"model": {}}'])('are refused as %s', (text) => {
    const damaged = () => compareTokenizers(bytesOf(bpe()), Buffer.from(text));
    expect(damaged).toThrow(expect.objectContaining({ code: 'source-unreadable' }));
  });
});

const tokens = fc
  .uniqueArray(fc.constantFrom('<e>', '<p>', '<x>', '<y>'), { maxLength: 4 })
  .chain((contents) =>
    fc
      .shuffledSubarray([6, 7, 8, 9, 10], { minLength: contents.length })
      .map((ids) =>
        contents.map((content, i): AddedToken => ({ id: ids[i], content, special: true })),
      ),
  );

describe('padded tokenizers', () => {
  it('give texts without added tokens the same ids, and list every one that differs', () => {
    const text = fc.string({ unit: fc.constantFrom(...pieces), maxLength: 20 });
    fc.assert(
      fc.property(tokens, tokens, text, (x, y, words) => {
        const [teacher, student] = [bpe(x), bpe(y)];
        const found = compare(teacher, student);
        const ids = (document: object) => new Tokenizer(document as never, {}).encode(words).ids;
        expect(ids(teacher)).toEqual(ids(student));
        const of = (list: readonly AddedToken[], content: string) =>
          list.find((token) => token.content === content)?.id;
        for (const content of ['<e>', '<p>', '<x>', '<y>']) {
          const [a, b] = [of(x, content), of(y, content)];
          const none = { teacherOnly: {}, studentOnly: {}, moved: {} };
          const listed: Record<string, Record<string, unknown>> = { ...none, ...(found as object) };
          expect(listed.teacherOnly[content]).toBe(b === undefined ? a : undefined);
          expect(listed.studentOnly[content]).toBe(a === undefined ? b : undefined);
          const both = a !== undefined && b !== undefined && a !== b;
          expect(listed.moved[content]).toEqual(both ? [a, b] : undefined);
        }
      }),
    );
  });
});
