import { describe, expect, it } from 'vitest';
import { checkAlignment } from '../../src/capture/alignment.ts';
import type { Chunk, Source } from '../../src/capture/source.ts';
import type { DenseRows, ListRows, Rows } from '../../src/distribution/rows.ts';
import { random } from '../support/dump.ts';

const width = 40;
const length = 64;

/** Tokens, and the token that each position's distribution has its peak at. */
function textOf(seed: number): Int32Array {
  const next = random(seed);
  return Int32Array.from({ length }, () => Math.floor(next() * width));
}

/** Dense rows that favour the token at t + 1 + shift by `peak`. */
function denseRows(tokens: Int32Array, shift: number, peak = 3): Rows {
  const values = new Float32Array(length * width);
  for (let t = 0; t < length; t++) values[t * width + (tokens[t + 1 + shift] ?? 0)] = peak;
  return { form: 'dense', count: length, width, type: 'f32', values };
}

/** Lists of one entry, the token at t + 1 + shift, and the mass outside. */
function listRows(tokens: Int32Array, shift: number): ListRows {
  return {
    form: 'lists',
    count: length,
    width,
    offsets: Uint32Array.from({ length: length + 1 }, (_, t) => t),
    ids: Uint32Array.from({ length }, (_, t) => tokens[t + 1 + shift] ?? 0),
    logprobs: new Float32Array(length).fill(Math.log(0.6)),
    tail: new Float32Array(length).fill(0.4),
  };
}

interface Fake {
  readonly samples?: number;
  readonly score?: Source['score'];
  readonly onSample?: () => void;
}

function fake(rowsOf: (tokens: Int32Array) => Rows, options: Fake = {}): Source {
  const { samples = 4, score, onSample } = options;
  return {
    identity: {
      name: 'fake',
      revision: '1',
      source: 'fake',
      vocabulary: width,
      tokenizer: null,
      reports: 'whole',
    },
    inputs: { origin: '', licence: '', digest: '' },
    score,
    async *chunks(from): AsyncGenerator<Chunk> {
      for (let ordinal = from; ordinal < samples; ordinal++) {
        onSample?.();
        const tokens = textOf(ordinal);
        const mask = new Uint8Array(length).fill(1, 0, length - 1);
        yield { sample: { ordinal, tokens, mask, meta: {} }, position: 0, rows: rowsOf(tokens) };
      }
    },
    async close() {},
  };
}

describe('the alignment self-test', () => {
  it.each([
    ['whole rows', denseRows],
    ['top lists', listRows],
  ])('passes %s that predict the next token', async (_, rows) => {
    const found = await checkAlignment(fake((tokens) => rows(tokens, 0)));
    expect(found.positions).toBe(4 * (length - 2));
    expect(found.at).toBeGreaterThan(Math.max(found.before, found.after) + 1);
  });

  it('takes the exact log-softmax of whole rows', async () => {
    const { at } = await checkAlignment(fake((tokens) => denseRows(tokens, 0, 3)));
    expect(at).toBeCloseTo(3 - Math.log(Math.exp(3) + width - 1), 4);
  });

  it('shares the mass outside a list among the ids that it leaves out', async () => {
    const { at, before } = await checkAlignment(fake((tokens) => listRows(tokens, 0)));
    expect(at).toBeCloseTo(Math.log(0.6), 4);
    const outside = Math.log(0.4 / (width - 1));
    expect(before).toBeGreaterThanOrEqual(outside - 1e-4);
    expect(before).toBeLessThan(outside + 0.3); // some tokens come twice in a row
  });

  it.each([
    ['whole rows', denseRows, -1],
    ['whole rows', denseRows, 1],
    ['top lists', listRows, -1],
    ['top lists', listRows, 1],
  ] as const)(
    'refuses %s that are shifted by %s %d, with the three figures',
    async (_, rows, shift) => {
      const checking = checkAlignment(fake((tokens) => rows(tokens, shift)));
      const error = await checking.then(() => undefined).catch((thrown) => thrown);
      expect(error).toMatchObject({ code: 'source-misaligned' });
      const { before, at, after } = error.got;
      expect(shift < 0 ? before : after).toBeGreaterThan(at);
      expect(error.message).toContain(`${before} / ${at} / ${after}`);
      expect(error.message).toContain(shift < 0 ? 'shift −1' : 'shift +1');
    },
  );

  it.each([-1, 1])('refuses rows that favour the next token, but shift %d more', async (shift) => {
    const checking = checkAlignment(
      fake((tokens) => {
        const rows = denseRows(tokens, shift, 4) as DenseRows;
        for (let t = 0; t + 1 < length; t++) rows.values[t * width + tokens[t + 1]] += 2;
        return rows;
      }),
    );
    await expect(checking).rejects.toMatchObject({ code: 'source-misaligned' });
  });

  it('refuses rows that favour no shift', async () => {
    const flat = fake((tokens) => ({ ...denseRows(tokens, 0, 0) }));
    await expect(checkAlignment(flat)).rejects.toMatchObject({ code: 'source-misaligned' });
  });

  it('reads no more samples than it needs', async () => {
    let read = 0;
    const onSample = () => read++;
    const aligned = (tokens: Int32Array) => denseRows(tokens, 0);
    const source = fake(aligned, { samples: 100, onSample });
    expect((await checkAlignment(source, { positionsMin: 100 })).positions).toBe(124);
    expect(read).toBe(2);
  });

  it('counts no position without a target, and gives up on a source that has none', async () => {
    let read = 0;
    const empty = (tokens: Int32Array) => ({
      ...listRows(tokens, 0),
      offsets: new Uint32Array(length + 1),
    });
    const source = fake(empty, { samples: 1_000_000, onSample: () => read++ });
    expect(await checkAlignment(source)).toEqual({ positions: 0, before: 0, at: 0, after: 0 });
    expect(read).toBe((256 * 64) / length);
  });

  it('refuses a teacher whose earlier positions change with a later token', async () => {
    const aligned = (tokens: Int32Array) => denseRows(tokens, 0);
    const causal = async (tokens: Int32Array): Promise<Rows> => {
      const values = new Float32Array(tokens.length * width);
      for (const [t, token] of tokens.entries()) values[t * width + token] = 2;
      return { form: 'dense', count: tokens.length, width, type: 'f32', values };
    };
    await checkAlignment(fake(aligned, { score: causal }));
    const leaking = async (tokens: Int32Array): Promise<Rows> => {
      const last = tokens[tokens.length - 1];
      const rows = (await causal(tokens)) as { values: Float32Array } & Rows;
      rows.values[3 * width + last] += 0.001;
      return rows;
    };
    await expect(checkAlignment(fake(aligned, { score: leaking }))).rejects.toMatchObject({
      code: 'source-misaligned',
      message: expect.stringContaining('position 3'),
    });
  });
});
