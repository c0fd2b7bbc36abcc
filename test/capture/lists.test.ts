import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import type { ListsSourceConfig } from '../../schemas/build-config.ts';
import { listsSource } from '../../schemas/build-config.ts';
import { openDumpSource } from '../../src/capture/dump.ts';
import { openListsSource } from '../../src/capture/lists.ts';
import type { LayoutName } from '../../src/capture/lists-layouts.ts';
import { chunksOf as partsOf } from '../../src/capture/lists-sample.ts';
import { type Chunk, chunkBytesMax } from '../../src/capture/source.ts';
import type { ListRows } from '../../src/distribution/rows.ts';
import { allChunks, describeSource } from '../contracts/source.ts';
import { jsonLines, realLists, records, samplesOf } from '../support/list-files.ts';
import { writeNpz } from '../support/npz.ts';
import { npzMembers } from '../support/top-lists.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-lists-'));
afterAll(() => rmSync(folder, { recursive: true }));

const lists = await realLists(12, 200);
const samples = samplesOf(lists, 40);
const layoutNames = Object.keys(records) as LayoutName[];
const path = (name: string) => join(folder, name);
for (const name of layoutNames) {
  writeFileSync(path(`${name}.jsonl`), jsonLines(records[name](samples)));
}
writeNpz(path('lists.npz'), npzMembers(lists));

const open = (config: Partial<ListsSourceConfig>) =>
  openListsSource(listsSource.parse({ type: 'lists', vocabulary: 8192, ...config }));

async function chunksOf(config: Partial<ListsSourceConfig>): Promise<Chunk[]> {
  const source = await open(config);
  return allChunks(source.chunks(0));
}

/** Tokens, mask and lists at all positions but the last of each sample, which few layouts have. */
function contents(chunks: readonly Chunk[]) {
  return chunks.map(({ sample, rows }) => {
    const { offsets, ids, logprobs } = rows as ListRows;
    const end = offsets[sample.tokens.length - 1];
    return {
      tokens: [...sample.tokens],
      mask: [...sample.mask],
      offsets: [...offsets.subarray(0, -1)],
      ids: [...ids.subarray(0, end)],
      logprobs: [...logprobs.subarray(0, end)],
    };
  });
}

const dump = await openDumpSource({
  type: 'dump',
  logits: path('lists.npz'),
  teacher: 'dump',
  licence: 'none',
  sample_length: 40,
});
const expected = contents(await allChunks(dump.chunks(0)));
await dump.close();

describe.each(layoutNames)('lists in the layout %s', (name) => {
  describeSource(name, () => open({ lists: [path(`${name}.jsonl`)] }));

  it('are those of the dump', async () => {
    expect(expected).toHaveLength(5);
    expect(contents(await chunksOf({ lists: [path(`${name}.jsonl`)] }))).toEqual(expected);
  });

  it('are read the same from gzip, under the name of their layout, from several files', async () => {
    const [first, ...others] = jsonLines(records[name](samples.slice(0, 2))).split('\n');
    writeFileSync(path('a.jsonl'), `${first}\n\n${others.join('\n')}`);
    const rest = jsonLines(records[name](samples.slice(2)));
    writeFileSync(path('b.jsonl.gz'), gzipSync(rest.trimEnd()));
    const config = { lists: [path('a.jsonl'), path('b.jsonl.gz')], layout: name };
    expect(contents(await chunksOf(config))).toEqual(expected);
  });
});

describe('list files', () => {
  const write = (values: Record<string, unknown>[]) => {
    writeFileSync(path('own.jsonl'), jsonLines(values));
    return { lists: [path('own.jsonl')], vocabulary: 10 };
  };
  const one = { tokens: [3, 1, 2], ids: [[1, 2], [2], [0]], logprobs: [[-1, -2], [-0.5], [-1]] };
  const rowsOf = async (values: Record<string, unknown>[], more = {}) => {
    const chunks = await chunksOf({ ...write(values), ...more });
    return chunks.map(({ sample, rows }) => {
      const { offsets, ids } = rows as ListRows;
      const at = (t: number) => [...ids.subarray(offsets[t], offsets[t + 1])];
      return {
        tokens: [...sample.tokens],
        mask: [...sample.mask],
        ids: [...sample.tokens.keys()].map(at),
      };
    });
  };

  it('are put in order: value descending, then id ascending', async () => {
    const ids = [[7, 2, 5, 9], [], []];
    const logprobs = [[-3, -2, -3, -1], [], []];
    const [{ rows }] = await chunksOf(write([{ ...one, ids, logprobs }]));
    expect([...(rows as ListRows).ids]).toEqual([9, 2, 5, 7]);
    expect([...(rows as ListRows).logprobs]).toEqual([-1, -2, -3, -3]);
  });

  it('leave −inf out, whatever id stands beside it', async () => {
    const ids = [[1, 99_999, -4], [2], []];
    const logprobs = [[-1, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY], [-0.5], []];
    expect(await rowsOf([{ ...one, ids, logprobs }])).toEqual([
      { tokens: [3, 1, 2], mask: [1, 1, 0], ids: [[1], [2], []] },
    ]);
  });

  it('may have no list for the last token, null for a missing one, and a mask', async () => {
    const ids = [null, [2]];
    const logprobs = [null, [-0.5]];
    const cut = { tokens: [3, 1, 2], ids, logprobs };
    const whole = { ...one, mask: [true, false, true] };
    expect(await rowsOf([cut, whole, { ...one, labels: [-100, -100, 2] }])).toEqual([
      { tokens: [3, 1, 2], mask: [0, 1, 0], ids: [[], [2], []] },
      { tokens: [3, 1, 2], mask: [1, 0, 0], ids: [[1, 2], [2], [0]] },
      { tokens: [3, 1, 2], mask: [0, 1, 0], ids: [[1, 2], [2], [0]] },
    ]);
  });

  it('aligned to tokens belong to the position before', async () => {
    const own = { ids: [null, [1, 2], [2]], logprobs: [null, [-1, -2], [-0.5]] };
    const mask = [0, 1, 0];
    expect(await rowsOf([{ ...one, ...own, mask }], { aligned: 'tokens' })).toEqual([
      { tokens: [3, 1, 2], mask: [1, 0, 0], ids: [[1, 2], [2], []] },
    ]);
  });

  it('are parted where the document changes; padding falls out', async () => {
    const packed = {
      tokens: [0, 3, 1, 2, 4, 0],
      attention_mask: [0, 1, 1, 2, 2, 0],
      ids: [[5], [1], [9], [4], [8], [5]],
      logprobs: [[-1], [-1], [-1], [-1], [-1], [-1]],
    };
    expect(await rowsOf([packed])).toEqual([
      { tokens: [3, 1], mask: [1, 0], ids: [[1], [9]] },
      { tokens: [2, 4], mask: [1, 0], ids: [[4], [8]] },
    ]);
    // aligned to tokens, a document's first list predicts it from another document
    expect(await rowsOf([packed], { aligned: 'tokens' })).toEqual([
      { tokens: [3, 1], mask: [1, 0], ids: [[9], []] },
      { tokens: [2, 4], mask: [1, 0], ids: [[8], []] },
    ]);
  });

  it('keep the mass outside of them', async () => {
    const [{ rows }] = await chunksOf(write([{ ...one, tail: [0.4, 0.3, 0.5] }]));
    expect([...((rows as ListRows).tail ?? [])].map((x) => x.toFixed(2))).toEqual([
      '0.40',
      '0.30',
      '0.50',
    ]);
  });

  it('say in the manifest whether the mass outside of them is known', async () => {
    const known = await open(write([one]));
    expect(known.inputs.origin).toBe('top lists of lists (samples), over the whole vocabulary');
    const logprobs = [[Math.log(0.75), Math.log(0.25)], [0], [0]];
    const renormalised = await open(write([{ ...one, logprobs }]));
    expect(renormalised.inputs.origin).toContain('renormalised: the mass outside');
  });

  it('have another digest in another layout, alignment or order of files', async () => {
    const [a, b] = [path('samples.jsonl'), path('own.jsonl')];
    write([one]);
    const configs = [
      { lists: [a] },
      { lists: [a], aligned: 'tokens' as const },
      { lists: [a, b] },
      { lists: [b, a] },
    ];
    const digests = new Set<string>();
    for (const config of configs) digests.add((await open(config)).inputs.digest);
    expect(digests.size).toBe(4);
  });

  it('take the size of the vocabulary from the tokenizer', async () => {
    const tokenizer = 'data/kjv-tokenizer-8192.json';
    const source = await open({ lists: [path('samples.jsonl')], vocabulary: undefined, tokenizer });
    expect(source.identity.vocabulary).toBe(8192);
    expect(source.tokenizerJson?.length).toBeGreaterThan(100_000);
  });

  it('of a long sample come in several chunks', () => {
    const [count, k] = [700, 4000];
    const rows: ListRows = {
      form: 'lists',
      count,
      width: k,
      offsets: Uint32Array.from({ length: count + 1 }, (_, t) => t * k),
      ids: new Uint32Array(count * k),
      logprobs: new Float32Array(count * k),
    };
    const most = Math.floor(chunkBytesMax / (8 * k));
    rows.ids[most * k] = 7;
    const tokens = new Int32Array(count);
    const parts = [...partsOf({ tokens, mask: new Uint8Array(count), meta: {}, rows }, 3)];
    const found = parts.map(({ sample, position, rows: part }) => {
      const { offsets, ids, logprobs } = part as ListRows;
      const entries = [offsets[0], offsets[part.count], logprobs.length, ids[0]];
      return [sample.ordinal, position, part.count, ...entries];
    });
    expect(found).toHaveLength(Math.ceil(count / most));
    expect(found.slice(0, 2)).toEqual([
      [3, 0, most, 0, most * k, most * k, 0],
      [3, most, most, 0, most * k, most * k, 7],
    ]);
    expect(found.reduce((sum, [, , rowCount]) => sum + rowCount, 0)).toBe(count);
  });
});
