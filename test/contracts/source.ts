/** What every teacher source must do: one suite, run by each source's own test. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkAlignment } from '../../src/capture/alignment.ts';
import { type Chunk, chunkBytesMax, type Source } from '../../src/capture/source.ts';
import type { DenseRows, ListRows, Rows } from '../../src/distribution/rows.ts';
import { createRowKernel } from '../../src/kernel/row.ts';

/** `open` gives a small source (a handful of samples), the same one each time. */
export function describeSource(name: string, open: () => Promise<Source>): void {
  describe(`${name} as a source`, () => {
    let source: Source;
    let chunks: Chunk[];
    beforeAll(async () => {
      source = await open();
      chunks = await allChunks(source.chunks(0));
    });
    afterAll(() => source.close());

    it('has an identity and a digest of its inputs that stay the same', async () => {
      const other = await open();
      expect(other.identity).toEqual(source.identity);
      expect(other.inputs).toEqual(source.inputs);
      expect(source.inputs.digest).toMatch(/^[0-9a-f]{64}$/);
      await other.close();
    });

    it('covers each sample with chunks in order, ordinals counting from 0', () => {
      let ordinal = 0;
      let expected = 0;
      for (const { sample, position, rows } of chunks) {
        expect([sample.ordinal, position]).toEqual([ordinal, expected]);
        expect(rows.count).toBeGreaterThan(0);
        expected += rows.count;
        expect(expected).toBeLessThanOrEqual(sample.tokens.length);
        if (expected < sample.tokens.length) continue;
        ordinal++;
        expected = 0;
      }
      expect(expected).toBe(0);
      const counted = chunks.reduce((sum, { rows }) => sum + rows.count, 0);
      expect(source.positions ?? counted).toBe(counted);
      const masks = chunks
        .filter(({ position }) => position === 0)
        .map(({ sample }) => sample.mask);
      const learned = masks.reduce((sum, mask) => sum + mask.reduce((n, flag) => n + flag, 0), 0);
      expect(source.learned ?? learned).toBe(learned);
    });

    it('keeps chunks within their bound', () => {
      for (const { rows } of chunks) {
        expect(rows.count === 1 || bytesOf(rows) <= chunkBytesMax).toBe(true);
      }
    });

    it('gives tokens inside the vocabulary and a mask that leaves the last position out', () => {
      for (const { sample, rows } of chunks) {
        const { tokens, mask } = sample;
        expect(rows.width).toBe(source.identity.vocabulary);
        expect(tokens.every((id) => id >= 0 && id < rows.width)).toBe(true);
        expect(mask.length).toBe(tokens.length);
        expect(mask.every((learned) => learned <= 1)).toBe(true);
        expect(mask.at(-1)).toBe(0);
      }
    });

    it('gives rows that are distributions', () => {
      for (const { rows } of chunks) rows.form === 'dense' ? checkDense(rows) : checkLists(rows);
    });

    it('resumes at every ordinal with exactly the rest of the full run', async () => {
      const whole = chunks.map(digestOfChunk);
      const samples = (chunks.at(-1)?.sample.ordinal ?? -1) + 1;
      for (let from = 0; from <= samples; from++) {
        const first = chunks.findIndex(({ sample }) => sample.ordinal >= from);
        const resumed = (await allChunks(source.chunks(from))).map(digestOfChunk);
        expect(resumed).toEqual(first < 0 ? [] : whole.slice(first));
      }
    });

    it('can be left in the middle and read again', async () => {
      for await (const chunk of source.chunks(0)) {
        expect(digestOfChunk(chunk)).toBe(digestOfChunk(chunks[0]));
        break;
      }
      expect(await allChunks(source.chunks(0))).toHaveLength(chunks.length);
    });

    it('predicts the next token', async () => {
      const { positions, before, at, after } = await checkAlignment(source);
      expect(positions).toBeGreaterThan(0);
      expect(at).toBeGreaterThan(Math.max(before, after));
    });

    it('closes twice without harm', async () => {
      const other = await open();
      await other.close();
      await other.close();
    });
  });
}

/** All chunks, with dense values of their own. */
export async function allChunks(items: AsyncIterable<Chunk>): Promise<Chunk[]> {
  const found: Chunk[] = [];
  for await (const item of items) {
    const { rows } = item;
    const values = rows.form === 'dense' ? { values: rows.values.slice() } : {}; // it is used again
    found.push({ ...item, rows: { ...rows, ...values } as Rows });
  }
  return found;
}

function bytesOf(rows: Rows): number {
  return rows.form === 'dense'
    ? rows.values.byteLength
    : rows.ids.byteLength + rows.logprobs.byteLength;
}

/** Over everything that a chunk says. */
function digestOfChunk({ sample, position, rows }: Chunk): string {
  const hash = createHash('sha256');
  const { tokens, mask, ...rest } = sample;
  hash.update(JSON.stringify([rest, position, rows.form, rows.count, rows.width]));
  const arrays =
    rows.form === 'dense'
      ? [rows.values]
      : [rows.offsets, rows.ids, rows.logprobs, rows.tail, rows.labelLogprob];
  for (const array of [tokens, mask, ...arrays]) {
    if (array) hash.update(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  }
  return hash.digest('hex');
}

function checkDense(rows: DenseRows): void {
  expect(rows.values.length).toBe(rows.count * rows.width);
  const kernel = createRowKernel({ k: 1, width: rows.width, type: rows.type, temperatures: [] });
  for (let t = 0; t < rows.count; t++) {
    expect(kernel.run(rows.values, t * rows.width)).toBe(1); // throws on NaN and +inf
    expect(Number.isFinite(kernel.lse)).toBe(true);
  }
}

function checkLists({ count, width, offsets, ids, logprobs, tail }: ListRows): void {
  expect([offsets.length, offsets[0], offsets[count]]).toEqual([count + 1, 0, ids.length]);
  for (let t = 0; t < count; t++) {
    let mass = tail?.[t] ?? 0;
    for (let i = offsets[t]; i < offsets[t + 1]; i++) {
      mass += Math.exp(logprobs[i]);
      if (ids[i] >= width) expect.fail(`id ${ids[i]} at position ${t}`);
      if (i === offsets[t]) continue;
      const ordered =
        logprobs[i] < logprobs[i - 1] || (logprobs[i] === logprobs[i - 1] && ids[i] > ids[i - 1]);
      if (!ordered) expect.fail(`entry ${i} of position ${t} is out of order`);
    }
    expect(mass).toBeLessThan(1 + 2e-3);
    if (tail !== undefined) expect(mass).toBeGreaterThan(1 - 2e-3);
  }
}
