import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { labelConfig } from '../../schemas/label-config.ts';
import { DigestTable } from '../../src/capture/digest-table.ts';
import type { Answer } from '../../src/capture/generators/generator.ts';
import { createWindow } from '../../src/capture/in-order.ts';
import { LogitcaskError } from '../../src/errors.ts';
import { decodeAnswer, encodeAnswer } from '../../src/label/answers.ts';
import { inAnyOrder } from '../../src/label/ask.ts';
import { openFilter, repetition } from '../../src/label/filter.ts';
import { normalised } from '../../src/label/prompts.ts';
import { seedOf } from '../../src/label/question.ts';
import { sideOf } from '../../src/label/split.ts';
import { parseTemplate } from '../../src/label/template.ts';

const digest = (text: string) => createHash('sha256').update(text).digest();
const filterOf = (settings: object) => openFilter(labelConfig.parse({ filter: settings }).filter);
const answer = (text: string, more: Partial<Answer> = {}): Answer => ({
  text,
  finish: 'stop',
  promptCount: 1,
  count: 5,
  ...more,
});
const words = fc.array(fc.constantFrom('a', 'b', 'c', 'über', '的'), { maxLength: 30 });

describe('a filter', () => {
  it('keeps what is within all bounds, and names the bound that is not', () => {
    const bounds = fc.record({
      tokens_min: fc.nat(8),
      tokens_max: fc.integer({ min: 1, max: 12 }),
      characters_min: fc.nat(20),
      characters_max: fc.integer({ min: 1, max: 60 }),
      truncated: fc.constantFrom('keep', 'drop'),
    });
    const given = fc.record({ count: fc.nat(15), finish: fc.constantFrom('stop', 'length') });
    fc.assert(
      fc.property(bounds, given, words, (settings, own, parts) => {
        const text = parts.join(' ');
        const reason = filterOf(settings)(answer(text, own));
        const characters = [...text].length;
        const { count, finish } = own;
        const wrong = {
          empty: text.trim() === '',
          truncated: settings.truncated === 'drop' && finish === 'length',
          'too-short': count < settings.tokens_min || characters < settings.characters_min,
          'too-long': count > settings.tokens_max || characters > settings.characters_max,
        };
        const expected = Object.entries(wrong).find(([, isWrong]) => isWrong)?.[0];
        expect(reason).toBe(expected);
      }),
    );
  });

  it('measures repetition from none to almost all, whatever the case and the blanks', () => {
    fc.assert(
      fc.property(words, fc.integer({ min: 1, max: 5 }), (parts, n) => {
        const share = repetition(parts.join(' '), n);
        const runs = parts.slice(n - 1).map((_, i) => parts.slice(i, i + n).join());
        const seen = new Set(runs).size;
        expect(share).toBeCloseTo(runs.length === 0 ? 0 : 1 - seen / runs.length, 12);
        expect(repetition(parts.join(' \n').toUpperCase(), n)).toBe(share);
      }),
    );
    expect(repetition('so it is, so it is, so it is', 3)).toBeGreaterThan(0.5);
    const filter = filterOf({ repetition_max: 0.4, repetition_words: 2 });
    expect(filter(answer('to be or not to be'))).toBeUndefined();
    expect(filter(answer('again and again and again and again'))).toBe('repetitive');
  });

  it('takes patterns that must all match and patterns of which none may', () => {
    const filter = filterOf({ keep: ['\\d', '/^a/i'], drop: ['/sorry/i', 'x{3}'] });
    expect(filter(answer('A 1'))).toBeUndefined();
    for (const text of ['b 1', 'A', 'A 1 Sorry', 'A 1 xxx']) {
      expect(filter(answer(text))).toBe('pattern');
    }
  });

  it('refuses patterns that are none, and those that take for ever', () => {
    expect(() => filterOf({ drop: ['('] })).toThrow(
      expect.objectContaining({ code: 'config-invalid', got: '(' }),
    );
    const slow = filterOf({ drop: ['^(a+)+$'] });
    expect(() => slow(answer(`${'a'.repeat(40)}b`))).toThrow(
      expect.objectContaining({ code: 'config-invalid' }),
    );
  });
});

describe('the split', () => {
  it('is decided by each prompt alone, in the share asked for', () => {
    const sides = Array.from({ length: 4000 }, (_, i) => sideOf(digest(`${i}`), 0.25));
    const share = sides.filter((side) => side === 'validation').length / sides.length;
    expect(share).toBeGreaterThan(0.22);
    expect(share).toBeLessThan(0.28);
    expect(sideOf(digest('a'), 0)).toBe('train');
    fc.assert(
      fc.property(
        fc.string(),
        fc.double({ min: 0, max: 1 }),
        fc.double({ min: 0, max: 1 }),
        (...a) => {
          const [text, one, other] = a;
          const [low, high] = [Math.min(one, other), Math.max(one, other)];
          // a larger share moves prompts to the validation side only
          if (sideOf(digest(text), low) === 'validation') {
            expect(sideOf(digest(text), high)).toBe('validation');
          }
        },
      ),
    );
  });

  it('does not hang on white space and case, and seeds do on prompt, number and seed', () => {
    expect(normalised('  The\n\tBook ')).toBe('the book');
    const seeds = new Set<number>();
    for (const seed of [0, 1]) {
      for (let index = 0; index < 3; index++) {
        for (const prompt of ['a', 'b']) seeds.add(seedOf(seed, digest(prompt), index));
      }
    }
    expect(seeds.size).toBe(12);
    for (const seed of seeds) expect(seed).toBeLessThan(2 ** 31);
  });
});

describe('a template', () => {
  it('puts fields in the place of their names, and leaves all else as it is', () => {
    const text = fc.string();
    fc.assert(
      fc.property(text, text, text, text, (before, between, a, b) => {
        const escaped = (part: string) => part.replace(/[{}]/g, (brace) => brace + brace);
        const template = parseTemplate(`${escaped(before)}{a}${escaped(between)}{b}`);
        expect(template.fill({ a, b }, 'here')).toBe(before + a + between + b);
      }),
    );
  });

  it('names a field that a record does not have, and braces that are not in pairs', () => {
    expect(() => parseTemplate('{txt}').fill({ text: 'a' }, 'line 1')).toThrow(
      expect.objectContaining({ code: 'source-mismatch', got: 'txt', expected: ['text'] }),
    );
    expect(() => parseTemplate('{constructor}').fill({}, 'line 1')).toThrow(LogitcaskError);
    for (const wrong of ['{', 'a}', '{}', '{a{b}}']) {
      expect(() => parseTemplate(wrong)).toThrow(
        expect.objectContaining({ code: 'config-invalid' }),
      );
    }
  });
});

describe('a table of digests', () => {
  it('holds what a map holds, however it grows', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(400), fc.nat()), { maxLength: 600 }), (entries) => {
        const [table, map] = [new DigestTable({ slots: 8 }), new Map<number, number>()];
        for (const [key, value] of entries) {
          expect(table.set(digest(`${key}`), value)).toBe(!map.has(key));
          map.set(key, value);
        }
        expect(table.size).toBe(map.size);
        for (let key = 0; key <= 400; key++) {
          expect(table.get(digest(`${key}`))).toBe(map.get(key));
        }
      }),
      { numRuns: 30 },
    );
  });
});

describe('an answer in the log', () => {
  const ids = fc.array(fc.nat(9)).map((list) => Int32Array.from(list));
  const lists = (tokens: Int32Array) => ({
    form: 'lists' as const,
    count: tokens.length,
    width: 10,
    offsets: Uint32Array.from({ length: tokens.length + 1 }, (_, t) => t),
    ids: Uint32Array.from(tokens),
    logprobs: new Float32Array(tokens.length).fill(-1),
    labelLogprob: new Float32Array(tokens.length).fill(-1),
  });
  const answers = fc
    .record({
      text: fc.string({ unit: 'grapheme' }),
      prompt: fc.option(ids),
      tokens: fc.option(ids),
      soft: fc.boolean(),
    })
    .map(({ text, prompt, tokens, soft }) => ({
      ...answer(text),
      promptTokens: prompt ?? undefined,
      tokens: tokens ?? undefined,
      ...(soft && tokens !== null ? { lists: lists(tokens) } : {}),
    }));

  it('comes back as it was, and is refused where it is cut short', () => {
    fc.assert(
      fc.property(answers, fc.nat(), (given, at) => {
        const bytes = encodeAnswer(given);
        expect(decodeAnswer(bytes)).toEqual(given);
        const cut = bytes.subarray(0, at % bytes.length);
        expect(() => decodeAnswer(Buffer.from(cut))).toThrow(
          expect.objectContaining({ code: 'log-damaged' }),
        );
      }),
    );
  });
});

describe('work in any order', () => {
  it('does each item once, never more at a time than allowed, and ends what it began', async () => {
    let [under, most, done] = [0, 0, 0];
    const window = createWindow(5, 5);
    const work = async (item: number) => {
      most = Math.max(most, ++under);
      await new Promise((resolve) => setTimeout(resolve, item % 3));
      under--;
      if (item === 40) throw new Error('forty');
      done++;
    };
    async function* items(count: number) {
      for (let i = 0; i < count; i++) yield i;
    }
    await inAnyOrder(items(40), work, window);
    expect({ done, most, under }).toEqual({ done: 40, most: 5, under: 0 });
    await expect(inAnyOrder(items(1000), work, window)).rejects.toThrow('forty');
    expect(under).toBe(0);
    expect(done).toBeLessThan(40 + 60);
  });
});
