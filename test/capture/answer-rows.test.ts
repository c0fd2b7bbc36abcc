import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createAnswerRows } from '../../src/capture/generators/answer-rows.ts';

type Entry = readonly [id: number, logprob: number];

function read(entries: readonly Entry[], [token, logprob]: Entry, { k = 4, width = 100 } = {}) {
  const rows = createAnswerRows({ k, width });
  for (const [id, value] of entries) rows.add(id, value);
  rows.next(token, logprob);
  return rows.finish();
}

const idsOf = (...given: Parameters<typeof read>) => [...read(...given).lists.ids];
const top: Entry[] = [
  [5, -1],
  [6, -1.5],
  [7, -2],
  [8, -3],
];

describe('the list at a token of an answer', () => {
  it('is put in order, and keeps the log-prob of the token drawn', () => {
    const { lists, tokens } = read([top[2], top[0], top[3], top[1]], [6, -1.5]);
    expect([...lists.ids]).toEqual([5, 6, 7, 8]);
    expect([...lists.offsets]).toEqual([0, 4]);
    expect([...lists.labelLogprob!]).toEqual([-1.5]);
    expect([...tokens]).toEqual([6]);
  });

  it('leaves out the token drawn where it is one more, or took the place of the last', () => {
    expect(idsOf([[9, -5], ...top], [9, -5])).toEqual([5, 6, 7, 8]);
    expect(idsOf([...top, [9, -5]], [9, -5])).toEqual([5, 6, 7, 8]);
    expect(idsOf([[9, -5], ...top.slice(0, 3)], [9, -5])).toEqual([5, 6, 7]);
    // as the last of a sorted list it is the k-th, and first in a list of fewer nothing was cut
    expect(idsOf(top, [8, -3])).toEqual([5, 6, 7, 8]);
    expect(idsOf([[9, -5], ...top.slice(0, 2)], [9, -5])).toEqual([5, 6, 9]);
    expect(idsOf([[9, -2], ...top.slice(0, 3)], [9, -2])).toEqual([5, 6, 7, 9]);
  });

  it('holds no entry of probability 0, however the server writes it', () => {
    const none = [-9999, -3.4028234663852886e38, Number.NEGATIVE_INFINITY];
    for (const zero of none) {
      expect(idsOf([top[0], top[1], [7, zero]], [5, -1])).toEqual([5, 6]);
      const { lists } = read(top, [20, zero]);
      expect([...lists.labelLogprob!]).toEqual([Number.NEGATIVE_INFINITY]);
    }
  });

  it.each<[string, Entry[], Entry, string]>([
    ['a log-prob that is no number', [top[0], [6, Number.NaN]], top[0], 'numbers'],
    ['a token without a log-prob', top, [5, Number.NaN], 'a log-prob of the token'],
    ['more entries than were asked for', [...top, [9, -4], [10, -4]], [5, -1], 'at most 4'],
    ['one more that is not the token drawn', [...top, [9, -4]], [5, -1], 'at most 4'],
    ['one more that has a place in it', [[9, -0.9], ...top], [9, -0.9], 'at most 4'],
    ['no entries', [], [5, -1], 'empty'],
    ['an id that is none', [[-1, -1]], [5, -1], 'token ids'],
    ['no id', [[Number.NaN, -1]], [5, -1], 'token ids'],
    ['another log-prob of the token', top, [6, -1.6], '-1.6'],
    ['no place for the token, which has one', top, [9, -0.5], 'holds the token'],
    ['no place for the token in a short list', top.slice(0, 2), [9, -1.2], 'holds the token'],
  ])('is refused where it has %s', (_, entries, drawn, text) => {
    const message = expect.stringContaining(text);
    expect(() => read(entries, drawn)).toThrow(
      expect.objectContaining({ code: 'teacher-unsuitable', message }),
    );
  });

  it.each<[string, Entry[], Entry, string]>([
    ['ids twice', [top[0], top[0]], top[0], 'row-invalid'],
    [
      'more mass than 1',
      [
        [5, -0.1],
        [6, -0.2],
      ],
      [5, -0.1],
      'row-invalid',
    ],
    ['a positive log-prob', [[5, 0.5]], [5, 0.5], 'row-invalid'],
    ['an id outside the vocabulary', [...top.slice(1), [100, -4]], top[1], 'row-invalid'],
    ['a token outside the vocabulary', top, [100, -4], 'token-out-of-range'],
  ])('is refused where it has %s', (_, entries, drawn, code) => {
    expect(() => read(entries, drawn)).toThrow(expect.objectContaining({ code }));
  });

  it('keeps the most probable ones where more were asked for than are kept', () => {
    const rows = createAnswerRows({ k: 4, kept: 2, width: 100 });
    for (const [id, value] of top) rows.add(id, value);
    rows.next(8, -3);
    expect([...rows.finish().lists.ids]).toEqual([5, 6]);
  });

  it('is a prefix of the ranked distribution for whatever token was drawn from it', () => {
    const weights = fc.array(fc.double({ min: 0.01, max: 1, noNaN: true }), {
      minLength: 6,
      maxLength: 40,
    });
    const forms = fc.constantFrom('beside', 'first', 'in the place of the last');
    const property = fc.property(weights, fc.nat(), fc.integer({ min: 2, max: 5 }), forms, check);
    // ids 0, 1 and 7 are equally probable in float32
    const alike = [
      0.9999980783469049, 0.9999980783469049, 0.01, 0.01, 0.01, 0.01, 0.10513092628209031,
      0.9999981975559725, 0.01, 0.010000000000000009,
    ];
    fc.assert(property, { examples: [[alike, 7, 2, 'in the place of the last']] });
    function check(mass: number[], drawn: number, k: number, form: string) {
      const sum = mass.reduce((a, b) => a + b);
      const all = mass.map((p, id): Entry => [id, Math.fround(Math.log(p / sum))]);
      const ranked = all.toSorted(([a, p], [b, q]) => q - p || a - b);
      const token = all[drawn % all.length];
      const others = ranked.slice(0, k).filter(([id]) => id !== token[0]);
      const isTop = others.length < k;
      const sent = {
        beside: isTop ? ranked.slice(0, k) : [...ranked.slice(0, k), token],
        first: [token, ...others],
        'in the place of the last': [token, ...others].slice(0, k),
      }[form]!;
      const { lists } = read(sent, token, { k, width: mass.length });
      // by value: of ids that are equally probable nobody knows which one the server left out
      const logprobOf = (id: number) => all[id][1];
      const expected = ranked.slice(0, lists.ids.length).map(([id]) => logprobOf(id));
      expect([...lists.ids].map(logprobOf)).toEqual(expected);
      const inOrder = [...lists.ids].sort((a, b) => logprobOf(b) - logprobOf(a) || a - b);
      expect([...new Set(lists.ids)]).toEqual(inOrder);
      expect(lists.ids.length).toBeGreaterThanOrEqual(k - 1);
    }
  });
});
