import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { type ListsSourceConfig, listsSource } from '../../schemas/build-config.ts';
import { checkAlignment } from '../../src/capture/alignment.ts';
import { openListsSource } from '../../src/capture/lists.ts';
import type { LayoutName } from '../../src/capture/lists-layouts.ts';
import { LogitcaskError } from '../../src/errors.ts';
import { jsonLines, realLists, records, samplesOf } from '../support/list-files.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-lists-refused-'));
afterAll(() => rmSync(folder, { recursive: true }));

const file = join(folder, 'own.jsonl');
type Json = Record<string, unknown>;

/** Reads all of a file with these records; gives the error. */
async function refusal(
  content: Json[] | Buffer | string,
  config: Partial<ListsSourceConfig> = {},
): Promise<LogitcaskError> {
  writeFileSync(file, Array.isArray(content) ? jsonLines(content) : content);
  try {
    const settings = { type: 'lists', lists: [file], vocabulary: 10, ...config };
    const source = await openListsSource(listsSource.parse(settings));
    for await (const { rows } of source.chunks(0)) expect(rows.count).toBeGreaterThan(0);
  } catch (error) {
    if (error instanceof LogitcaskError) return error;
    throw error;
  }
  return expect.fail('nothing was refused');
}

const one: Json = {
  tokens: [3, 1, 2],
  ids: [[1, 2], [2], [0]],
  logprobs: [[-1, -2], [-0.5], [-1]],
};
const second = (change: Json) => [one, { ...one, ...change }];
const list = (logprobs: number[], ids = [1, 2, 3, 4].slice(0, logprobs.length)) =>
  second({ ids: [[0], ids, [0]], logprobs: [[-1], logprobs, [-1]] });

describe('a list is refused', () => {
  it.each<[string, string, Json[]]>([
    ['NaN', 'got NaN', list([-1, Number.NaN])],
    ['+inf', 'got Infinity', list([Number.POSITIVE_INFINITY])],
    ['a value above 0', 'no number ≤ 0, got 0.5', list([0.5])],
    ['an id that is V', 'vocabulary of 10, got 10', list([-1], [10])],
    ['an id below 0', '-1 is no token id', list([-1], [-1])],
    ['an id between two', '1.5 is no token id', list([-1], [1.5])],
    ['an id that comes twice', 'an id comes twice, got 4', list([-1, -2, -3], [4, 2, 4])],
    ['probabilities of more than 1', 'sum to more than 1', list([-0.5, -0.5])],
    ['a tail that does not fit', 'the tail', second({ tail: [0.1, 0.6, 0.1] })],
    ['null for a value', 'got NaN', list([-1, null as never])],
  ])('with %s, its file, line and position named', async (_, what, content) => {
    const { code, message } = await refusal(content);
    expect(code).toBe('row-invalid');
    expect(message).toContain(what);
    expect(message).toMatch(/^capture: (position|list) 1 of line 2 of \S+own\.jsonl: .*again$/);
  });

  it('with logits of NeMo-Aligner whose log-sum-exp is not theirs', async () => {
    const [first] = records['nemo-aligner'](samplesOf(await realLists(4, 20), 20));
    const lse = (first.log_sum_exp_logits as number[]).map((value) => value - 1);
    const config = { vocabulary: 8192 };
    const error = await refusal([{ ...first, log_sum_exp_logits: lse }], config);
    expect(error).toMatchObject({ code: 'row-invalid' });
    const { log_sum_exp_logits: _, ...without } = first;
    const missing = await refusal([without], config);
    expect(missing.code).toBe('source-mismatch');
    expect(missing.message).toContain('log_sum_exp_logits, which makes log-probs of them');
  });
});

describe('a record is refused', () => {
  it.each<[string, string, Json[]]>([
    ['without tokens', 'expected tokens', second({ tokens: undefined })],
    ['with no tokens at all', '1 to 1048576 tokens', second({ tokens: [], ids: [], logprobs: [] })],
    ['with fewer lists than tokens', 'a list for each token', second({ ids: [[1]] })],
    ['with more lists than tokens', 'a list for each token', second({ tokens: [1] })],
    ['with fewer values than ids', '2 values', second({ logprobs: [[-1], [-0.5], [-1]] })],
    ['with text for numbers', 'numbers as ids', second({ ids: [['the'], [2], [0]] })],
    ['with a number for a list', 'lists of numbers as ids', second({ ids: [5, 6, 7] })],
    ['with a mask of another length', 'mask of 3 values', second({ mask: [1, 1] })],
    ['that is no object', 'an object', [one, [1] as never]],
  ])('%s', async (_, what, content) => {
    const { code, message } = await refusal(content);
    expect(code).toBe('source-mismatch');
    expect(message).toContain(what);
    expect(message).toContain(`line 2 of ${file}`);
  });

  it.each([10, -1, 1.5])('with a token %s', async (token) => {
    const { code, message } = await refusal(second({ tokens: [1, token, 1] }));
    expect(code).toBe('token-out-of-range');
    expect(message).toContain(`token ${token} at 1`);
  });

  it.each([
    ['one further on', [1, 2, -100], 'fit shift 1'],
    ['of something else', [3, 9, 2], 'is 9'],
  ])('with labels %s', async (_, labels, what) => {
    const { code, message } = await refusal(second({ labels }));
    expect(code).toBe('source-misaligned');
    expect(message).toContain(what);
  });

  it('of NeMo-Aligner, with labels that are the tokens themselves', async () => {
    const [first] = records['nemo-aligner'](samplesOf(await realLists(4, 20), 20));
    const error = await refusal([{ ...first, labels: first.tokens }], { vocabulary: 8192 });
    expect(error.code).toBe('source-misaligned');
    expect(error.message).toContain('fit shift 0');
  });

  it('out of order, in positions', async () => {
    const rows = records.positions(samplesOf(await realLists(4, 20), 10));
    const config = { vocabulary: 8192 };
    for (const content of [rows.slice(1), [...rows].reverse(), [rows[0], ...rows.slice(2)]]) {
      const error = await refusal(content, config);
      expect(error.code).toBe('source-mismatch');
      expect(error.message).toContain('sorted by sample and position');
    }
    const error = await refusal([{ ...rows[0], sample: null }], config);
    expect(error.message).toContain('a text or whole number as sample');
  });
});

describe('a file is refused', () => {
  it.each<[string, string, string, Json[] | Buffer | string]>([
    ['that is empty', 'source-mismatch', 'no records', ''],
    ['that is no JSON', 'source-unreadable', 'line 1 of', 'tokens, ids\n1,2'],
    ['that is cut', 'source-unreadable', 'line 2 of', `${jsonLines([one])}{"tokens":`],
    ['whose gzip is cut', 'source-unreadable', 'unexpected end', gzipSync('{}').subarray(0, -5)],
    ['that only says it is Parquet', 'source-unreadable', 'as Parquet', 'PAR1 PAR1'],
    ['of no layout', 'source-mismatch', 'the keys of no layout', [{ text: 'a' }]],
    [
      'of compressed DistillKit columns',
      'source-mismatch',
      'LogprobCompressor',
      [{ input_ids: [1], compressed_logprobs: [], bytepacked_indices: [] }],
    ],
  ])('%s', async (_, code, what, content) => {
    const error = await refusal(content);
    expect(error.code).toBe(code);
    expect(error.message).toContain(what);
    expect(error.message).toMatch(/^capture: \S/);
  });

  it('that is missing, a folder, or has no vocabulary', async () => {
    const missing = await refusal([one], { lists: [join(folder, 'none.jsonl')] });
    expect(missing.code).toBe('source-unreadable');
    expect((await refusal([one], { lists: [folder] })).code).toBe('source-unreadable');
    const error = await refusal([one], { vocabulary: undefined });
    expect(error).toMatchObject({ code: 'config-invalid' });
    const tokenizer = 'data/kjv-tokenizer-8192.json';
    expect((await refusal([one], { tokenizer })).code).toBe('source-mismatch');
  });

  it('under the name of another layout', async () => {
    const error = await refusal([one], { layout: 'distillkit' });
    expect(error).toMatchObject({ code: 'source-mismatch', expected: 'input_ids' });
  });
});

describe('the alignment of lists', async () => {
  const samples = samplesOf(await realLists(12, 200), 40);
  /** The lists moved by `by` positions: list t + by stands at t. */
  const moved = (by: number) =>
    samples.map(({ tokens, ids, logprobs }) => {
      const move = <T>(lists: T[][]) => lists.map((_, t) => lists[t + by] ?? []);
      return { tokens, ids: move(ids), logprobs: move(logprobs) };
    });
  const check = async (layout: LayoutName, by: number, aligned: 'logits' | 'tokens' = 'logits') => {
    writeFileSync(file, jsonLines(records[layout](moved(by))));
    const settings = { type: 'lists', lists: [file], vocabulary: 8192, aligned };
    return checkAlignment(await openListsSource(listsSource.parse(settings)));
  };

  it.each(['samples', 'positions', 'distillkit', 'axolotl'] as const)(
    'is proved: %s a token early or late are refused, with the shift that fits',
    async (layout) => {
      const early = { code: 'source-misaligned', message: expect.stringContaining('shift −1') };
      await expect(check(layout, -1)).rejects.toMatchObject(early);
      const late = { code: 'source-misaligned', message: expect.stringContaining('shift +1') };
      await expect(check(layout, 1)).rejects.toMatchObject(late);
      const { before, at, after } = await check(layout, 0);
      expect(at).toBeGreaterThan(Math.max(before, after));
    },
  );

  it('is what `aligned` says, or it is refused', async () => {
    const right = await check('samples', -1, 'tokens');
    expect(right.at).toBeGreaterThan(Math.max(right.before, right.after));
    const wrong = { code: 'source-misaligned', message: expect.stringContaining('shift +1') };
    await expect(check('samples', 0, 'tokens')).rejects.toMatchObject(wrong);
  });
});
