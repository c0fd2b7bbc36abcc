import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { DumpSourceConfig } from '../../schemas/build-config.ts';
import { openDumpSource } from '../../src/capture/dump.ts';
import { LogitcaskError } from '../../src/errors.ts';
import { npy, writeDump } from '../support/dump.ts';
import { float32Npy, int32Npy, writeNpz } from '../support/npz.ts';
import { listsOf, npzMembers } from '../support/top-lists.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-refusals-'));
afterAll(() => rmSync(folder, { recursive: true }));

const small = writeDump(folder, { positions: 70, vocabulary: 50, sampleLength: 32 });
const source = small.source as DumpSourceConfig;
const lists = listsOf(small, 12);
const members = npzMembers(lists);

let files = 0;
function write(name: string, content: Buffer): string {
  const file = join(folder, `${files++}-${name}`);
  writeFileSync(file, content);
  return file;
}

const ids = (values: Iterable<number>): string => {
  const own = [...values];
  return write('ids.npy', int32Npy([own.length], own));
};
const altered = (at: number, value: number) =>
  Int32Array.from(small.tokens).fill(value, at, at + 1);

/** Reads all; gives the error. */
async function refusal(config: Partial<DumpSourceConfig>): Promise<LogitcaskError> {
  try {
    const opened = await openDumpSource({ ...source, ...config });
    try {
      for await (const { sample } of opened.chunks(0)) expect(sample.tokens).toBeDefined();
    } finally {
      await opened.close();
    }
  } catch (error) {
    if (error instanceof LogitcaskError) return error;
    throw error;
  }
  return expect.fail('nothing was refused');
}

const half = new Uint8Array(70 * 50 * 2);

describe('a dump of logits is refused', () => {
  it.each<[string, string, () => Partial<DumpSourceConfig>]>([
    ['a missing file', 'source-unreadable', () => ({ logits: join(folder, 'none.npy') })],
    ['a missing token file', 'source-unreadable', () => ({ tokens: join(folder, 'none.npy') })],
    ['a missing tokenizer', 'source-unreadable', () => ({ tokenizer: join(folder, 'none.json') })],
    [
      'a tokenizer of another vocabulary',
      'source-mismatch',
      () => ({ tokenizer: 'data/kjv-tokenizer-8192.json' }),
    ],
    ['no token file', 'config-invalid', () => ({ tokens: undefined })],
    [
      'logits of one dimension',
      'source-unreadable',
      () => ({ logits: write('a.npy', npy('<f2', [3500], half)) }),
    ],
    [
      'logits of an integer type',
      'source-unreadable',
      () => ({ logits: write('a.npy', npy('<i2', [70, 50], half)) }),
    ],
    [
      'logits in Fortran order',
      'source-unreadable',
      () => {
        const file = npy('<f2', [70, 50], half).toString('latin1');
        return { logits: write('a.npy', Buffer.from(file.replace('False', 'True '), 'latin1')) };
      },
    ],
    [
      'no rows',
      'source-mismatch',
      () => ({ logits: write('a.npy', npy('<f2', [0, 50], new Uint8Array())), tokens: ids([]) }),
    ],
    ['tokens as floats', 'source-unreadable', () => ({ tokens: source.logits })],
    ['fewer tokens than rows', 'source-mismatch', () => ({ tokens: ids(small.tokens.slice(1)) })],
    ['more tokens than rows', 'source-mismatch', () => ({ tokens: ids([...small.tokens, 1]) })],
    ['fewer next ids than rows', 'source-mismatch', () => ({ next: ids(small.tokens.slice(1)) })],
    ['a token that is V', 'token-out-of-range', () => ({ tokens: ids(altered(33, 50)) })],
    ['a token below 0', 'token-out-of-range', () => ({ tokens: ids(altered(69, -1)) })],
    [
      'a next id that is V',
      'token-out-of-range',
      () => ({ next: ids([...small.tokens.slice(1), 50]) }),
    ],
    ['next ids of another position', 'source-misaligned', () => ({ next: ids(small.tokens) })],
  ])('with %s', async (_, code, config) => {
    const error = await refusal(config());
    expect(error.code).toBe(code);
    expect(error.message).toMatch(/^(capture|config): \S/);
  });

  it('with fewer bytes than its header says, or cut while it is read', async () => {
    const own = mkdtempSync(join(folder, 'cut-'));
    const { source: other } = writeDump(own, { positions: 70, vocabulary: 50, sampleLength: 32 });
    const config = other as DumpSourceConfig;
    const opened = await openDumpSource(config);
    truncateSync(config.logits, 6000);
    const reading = (async () => {
      for await (const { position } of opened.chunks(0)) expect(position).toBe(0);
    })();
    await expect(reading).rejects.toMatchObject({ code: 'source-unreadable' });
    await opened.close();
    expect((await refusal(config)).code).toBe('source-unreadable');
  });
});

const k = lists.k;
const shape = [70, k];

function npz(all: Record<string, Buffer>): string {
  const file = join(folder, `${files++}.npz`);
  writeNpz(file, all);
  return file;
}

/** Members with one value of row 40 replaced. */
const withId = (at: number, id: number) => ({
  ids: int32Npy(shape, Int32Array.from(lists.ids).fill(id, 40 * k + at, 40 * k + at + 1)),
});
const withLogprob = (at: number, logprob: number) => ({
  logprobs: float32Npy(
    shape,
    Float32Array.from(lists.logprobs).fill(logprob, 40 * k + at, 40 * k + at + 1),
  ),
});
const withTail = (tail: number) => ({
  tail: float32Npy([70], Float32Array.from(lists.tail).fill(tail, 40, 41)),
});
const doubled = float32Npy(
  shape,
  lists.logprobs.map((logprob) => Math.min(0, logprob + 1)),
);

describe('a dump of top lists is refused', () => {
  it.each<[string, string, Record<string, Buffer>]>([
    ['NaN', 'got NaN', withLogprob(3, Number.NaN)],
    ['+inf', 'got Infinity', withLogprob(0, Number.POSITIVE_INFINITY)],
    ['a log-prob above 0', 'got 0.5', withLogprob(0, 0.5)],
    ['an id that is V', 'vocabulary of 50, got 50', withId(11, 50)],
    ['an id below 0', 'vocabulary of 50', withId(0, -1)],
    ['an id that comes twice', 'an id comes twice', withId(11, lists.ids[40 * k])],
    ['log-probs that do not descend', 'do not descend', withLogprob(11, lists.logprobs[40 * k])],
    ['probabilities of more than 1', 'sum to more than 1', { logprobs: doubled }],
    ['a tail that is NaN', 'tail', withTail(Number.NaN)],
    ['a tail below 0', 'tail', withTail(-0.1)],
    ['a tail that does not fit', 'tail', withTail(1)],
  ])('with %s in a row, which it names', async (_, what, changed) => {
    const error = await refusal({ logits: npz({ ...members, ...changed }), tokens: undefined });
    expect(error.code).toBe('row-invalid');
    expect(error.message).toContain(what);
    expect(error.message).toMatch(/^capture: row \d+ of \S+npz: .*; export it again$/);
  });

  it.each<[string, string, Record<string, Buffer>]>([
    ['a token that is V', 'token-out-of-range', { tokens: int32Npy([70], altered(5, 50)) }],
    [
      'fewer tokens than rows',
      'source-mismatch',
      { tokens: int32Npy([69], small.tokens.slice(1)) },
    ],
    ['fewer tails than rows', 'source-mismatch', { tail: float32Npy([69], lists.tail.slice(1)) }],
    [
      'logprobs of another shape',
      'source-mismatch',
      { logprobs: float32Npy([k, 70], lists.logprobs) },
    ],
    ['logprobs as integers', 'source-mismatch', { logprobs: int32Npy(shape, lists.ids) }],
    ['ids as floats', 'source-unreadable', { ids: float32Npy(shape, lists.ids) }],
    ['no V', 'source-mismatch', { V: int32Npy([0], []) }],
    [
      'lists without entries',
      'source-mismatch',
      { ids: int32Npy([70, 0], []), logprobs: float32Npy([70, 0], []) },
    ],
  ])('with %s', async (_, code, changed) => {
    const error = await refusal({ logits: npz({ ...members, ...changed }), tokens: undefined });
    expect(error.code).toBe(code);
    expect(error.message).toMatch(/^capture: \S/);
  });

  it.each(['ids', 'logprobs', 'V'])('without the member %s', async (name) => {
    const rest = Object.fromEntries(Object.entries(members).filter(([own]) => own !== name));
    const error = await refusal({ logits: npz(rest), tokens: undefined });
    expect(error.code).toBe('source-unreadable');
    expect(error.message).toContain(name);
  });

  it('that is no zip', async () => {
    const logits = write('a.npz', Buffer.from('no zip'));
    expect((await refusal({ logits, tokens: undefined })).code).toBe('source-unreadable');
  });
});
