import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { DumpSourceConfig } from '../../schemas/build-config.ts';
import { openDumpSource } from '../../src/capture/dump.ts';
import { type Chunk, chunkBytesMax } from '../../src/capture/source.ts';
import type { DenseRows, ListRows } from '../../src/distribution/rows.ts';
import { allChunks, describeSource } from '../contracts/source.ts';
import { writeDump } from '../support/dump.ts';
import { float32Npy, int32Npy, writeNpz } from '../support/npz.ts';
import { listsOf, npzMembers } from '../support/top-lists.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-dump-'));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
const path = (name: string): string => join(folder, `${files++}-${name}`);
const golden = 'test/golden/logits';

const open = (config: Partial<DumpSourceConfig> & { logits: string }) =>
  openDumpSource({
    type: 'dump',
    teacher: 'dump',
    licence: 'none',
    sample_length: 32,
    ...config,
  });

async function chunksOf(config: Partial<DumpSourceConfig> & { logits: string }): Promise<Chunk[]> {
  const source = await open(config);
  const chunks = await allChunks(source.chunks(0));
  await source.close();
  return chunks;
}

const small = writeDump(folder, { positions: 90, vocabulary: 50, sampleLength: 32 });
const smallSource = small.source as DumpSourceConfig;
const lists = listsOf(small, 12);

describeSource('a dump of float32 logits', () => open(smallSource));

describe('float16 logits', () => {
  const half = mkdtempSync(join(folder, 'half-'));
  const shape = { positions: 65, vocabulary: 40, sampleLength: 32, type: 'f16' } as const;
  const { source } = writeDump(half, shape);
  describeSource('a dump of float16 logits', () => open(source as DumpSourceConfig));
});

describe('rows of which a sample needs several chunks', () => {
  const wide = mkdtempSync(join(folder, 'wide-'));
  const { source } = writeDump(wide, { positions: 60, vocabulary: 140_000, sampleLength: 40 });
  describeSource('a dump of wide rows', () =>
    open({ ...(source as DumpSourceConfig), sample_length: 40 }),
  );

  it('are cut where the bound says', async () => {
    const chunks = await chunksOf({ ...(source as DumpSourceConfig), sample_length: 40 });
    const rowsMax = Math.floor(chunkBytesMax / (4 * 140_000));
    const cut = (length: number) =>
      Array.from({ length: Math.ceil(length / rowsMax) }, (_, i) =>
        Math.min(rowsMax, length - i * rowsMax),
      );
    expect(chunks.map(({ rows }) => rows.count)).toEqual([...cut(40), ...cut(20)]);
  });
});

describe.each([{ deflate: true }, { deflate: false }])('top lists, %o', (options) => {
  const file = path('lists.npz');
  writeNpz(file, npzMembers(lists), options);
  describeSource('a dump of top lists', () => open({ logits: file }));
});

describeSource('the golden logits', () =>
  open({
    logits: `${golden}/small-lm-rows0-511.f16.npy`,
    tokens: `${golden}/small-lm-rows0-511.tokens.npy`,
    next: `${golden}/small-lm-rows0-511.next.npy`,
    sample_length: 256,
  }),
);

describeSource('the golden top lists', () =>
  open({ logits: `${golden}/v128k-syn-top1024.npz`, sample_length: 300 }),
);

describe('a dump of logits', () => {
  it('gives the values of the file, and consecutive rows as samples', async () => {
    const chunks = await chunksOf(smallSource);
    const values = chunks.flatMap(({ rows }) => [...(rows as DenseRows).values]);
    expect(values).toEqual([...small.logits]);
    expect(chunks.map(({ sample }) => sample.tokens.length)).toEqual([32, 32, 26]);
    expect(chunks.map(({ sample }) => sample.meta)).toEqual([{ row: 0 }, { row: 32 }, { row: 64 }]);
    expect(chunks.flatMap(({ sample }) => [...sample.tokens])).toEqual([...small.tokens]);
  });

  it('reads the golden file as NumPy does', async () => {
    const chunks = await chunksOf({
      logits: `${golden}/small-lm-rows0-511.f16.npy`,
      tokens: `${golden}/small-lm-rows0-511.tokens.npy`,
      sample_length: 512,
    });
    const { values, type, width } = chunks[1].rows as DenseRows;
    expect([type, width, chunks.length, chunks[1].position]).toEqual(['f16', 8192, 2, 256]);
    expect([...values.subarray(44 * width, 44 * width + 4)]).toEqual([16218, 15847, 48319, 49471]);
    expect([...values.subarray(-2)]).toEqual([50371, 48888]);
  });

  it('gives the id after a sample where `next` says it', async () => {
    const next = [...small.tokens.subarray(1), 7];
    const file = path('next.npy');
    writeFileSync(file, int32Npy([90], next));
    const chunks = await chunksOf({ ...smallSource, next: file });
    expect(chunks.map(({ sample }) => sample.next)).toEqual([next[31], next[63], 7]);
    const without = await chunksOf(smallSource);
    expect(without.map(({ sample }) => sample.next)).toEqual([undefined, undefined, undefined]);
  });

  it('allows text to break off between samples, not inside', async () => {
    const next = [...small.tokens.subarray(1), 7];
    next[31] = (next[31] + 1) % 50;
    const file = path('next.npy');
    writeFileSync(file, int32Npy([90], next));
    expect(await chunksOf({ ...smallSource, next: file })).toHaveLength(3);
    const inside = open({ ...smallSource, next: file, sample_length: 31 });
    await expect(inside).rejects.toMatchObject({ code: 'source-misaligned' });
  });

  it('has another digest where a file differs, or the part that it plays', async () => {
    const other = mkdtempSync(join(folder, 'other-'));
    const changed = writeDump(other, { positions: 90, vocabulary: 50, sampleLength: 32, seed: 2 });
    const { logits, tokens } = changed.source as DumpSourceConfig;
    const next = path('next.npy');
    writeFileSync(next, int32Npy([90], [...small.tokens.subarray(1), 7]));
    const configs = [{}, { tokens }, { logits }, { next }].map((c) => ({ ...smallSource, ...c }));
    const sources = await Promise.all(configs.map(open));
    expect(new Set(sources.map(({ inputs }) => inputs.digest)).size).toBe(4);
    expect(new Set(sources.map(({ identity }) => identity.revision)).size).toBe(4);
    await Promise.all(sources.map((source) => source.close()));
  });

  it('keeps the tokenizer that the rows go with', async () => {
    const source = await open({
      logits: `${golden}/small-lm-rows0-511.f16.npy`,
      tokens: `${golden}/small-lm-rows0-511.tokens.npy`,
      tokenizer: 'data/kjv-tokenizer-8192.json',
    });
    expect(source.identity.tokenizer).toMatch(/^[0-9a-f]{64}$/);
    expect(source.tokenizerJson?.length).toBe(556_463);
    await source.close();
  });
});

describe('a dump of top lists', () => {
  const write = (members: Record<string, Buffer>): string => {
    const file = path('lists.npz');
    writeNpz(file, members);
    return file;
  };

  it('gives the lists of the file, and their tail', async () => {
    const chunks = await chunksOf({ logits: write(npzMembers(lists)) });
    const rows = chunks.map((chunk) => chunk.rows as ListRows);
    expect(rows.flatMap(({ ids }) => [...ids])).toEqual([...lists.ids]);
    expect(rows.flatMap(({ logprobs }) => [...logprobs])).toEqual([...lists.logprobs]);
    expect(rows.flatMap(({ tail }) => [...(tail ?? [])])).toEqual([...lists.tail]);
    expect([...rows[0].offsets].slice(0, 3)).toEqual([0, 12, 24]);
  });

  it('gives no tail where the file has none', async () => {
    const { tail: _, ...members } = npzMembers(lists);
    const chunks = await chunksOf({ logits: write(members) });
    expect(chunks.every(({ rows }) => (rows as ListRows).tail === undefined)).toBe(true);
  });

  it('reads the golden file as NumPy does', async () => {
    const chunks = await chunksOf({
      logits: `${golden}/v128k-syn-top1024.npz`,
      sample_length: 1024,
    });
    const { ids, logprobs, tail, width } = chunks[0].rows as ListRows;
    expect([width, chunks.length, chunks[1].position]).toEqual([128_256, 2, 512]);
    expect([...ids.subarray(0, 3), ids[1023]]).toEqual([69, 14, 22, 17704]);
    expect([logprobs[0], logprobs[1], tail?.[0]]).toEqual([
      -1.0739890336990356, -1.8692554235458374, 0.0083271823823452,
    ]);
    const row = (777 - 512) * 1024;
    const later = (chunks[1].rows as ListRows).ids;
    expect([...later.subarray(row, row + 3), later[row + 1023]]).toEqual([249, 18, 15, 22181]);
    expect(chunks[0].sample.tokens[777]).toBe(10);
  });

  it('orders equal log-probs by id', async () => {
    const logprobs = float32Npy([3, 4], [-1, -2, -2, -2, -2, -2, -2, -2, -1, -1, -3, -3]);
    const ids = int32Npy([3, 4], [5, 9, 3, 4, 8, 6, 1, 0, 7, 2, 9, 1]);
    const members = { ids, logprobs, tokens: int32Npy([3], [1, 2, 3]), V: int32Npy([], [10]) };
    const [{ rows }] = await chunksOf({ logits: write(members) });
    expect([...(rows as ListRows).ids]).toEqual([5, 3, 4, 9, 0, 1, 6, 8, 2, 7, 1, 9]);
  });

  it('takes input ids from a file of their own where it is named', async () => {
    const { tokens: _, ...members } = npzMembers(lists);
    const logits = write(members);
    const chunks = await chunksOf({ logits, tokens: smallSource.tokens });
    expect(chunks.flatMap(({ sample }) => [...sample.tokens])).toEqual([...small.tokens]);
    await expect(open({ logits })).rejects.toMatchObject({ code: 'config-invalid' });
  });

  it('gives the id after a sample where its member `next` says it', async () => {
    const next = int32Npy([90], [...small.tokens.subarray(1), 7]);
    const chunks = await chunksOf({ logits: write({ ...npzMembers(lists), next }) });
    expect(chunks.map(({ sample }) => sample.next)).toEqual([
      small.tokens[32],
      small.tokens[64],
      7,
    ]);
  });
});
