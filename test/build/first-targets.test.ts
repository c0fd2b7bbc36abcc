import { describe, expect, it } from 'vitest';
import { firstTargets } from '../../src/build/first-targets.ts';
import type { Chunk, Source } from '../../src/capture/source.ts';
import { threshold } from '../../src/sparsify/threshold.ts';
import { topK } from '../../src/sparsify/top-k.ts';
import { random } from '../support/dump.ts';

const [width, chunkRows] = [50, 10];

/** Samples of the lengths given, ten rows a chunk; counts the chunks that are asked for. */
function fake(lengths: readonly number[]): Source & { asked: number } {
  const next = random(3);
  return {
    identity: {
      name: 'fake',
      revision: '1',
      source: 'dump',
      vocabulary: width,
      tokenizer: null,
      reports: 'whole',
    },
    inputs: { origin: 'fake', licence: 'none', digest: '' },
    asked: 0,
    async *chunks(): AsyncGenerator<Chunk> {
      for (const [ordinal, length] of lengths.entries()) {
        const tokens = Int32Array.from({ length }, () => Math.floor(next() * width));
        const sample = { ordinal, tokens, mask: new Uint8Array(length), meta: {} };
        for (let position = 0; position < length; position += chunkRows) {
          const count = Math.min(chunkRows, length - position);
          const values = Float32Array.from({ length: count * width }, () => 5 * next());
          this.asked++;
          yield { sample, position, rows: { form: 'dense', count, width, type: 'f32', values } };
        }
      }
    },
    async close() {},
  };
}

async function counts(lengths: readonly number[], positionsMax: number) {
  const source = fake(lengths);
  const sparsifiers = [topK({ k: 3 }), threshold({ tau: 0.1 })];
  const found: number[] = [];
  for await (const { targets } of firstTargets(source, { sparsifiers, positionsMax })) {
    expect(targets.map(({ kind }) => kind)).toEqual(['scaled', 'unbiased']);
    expect(targets[1].count).toBe(targets[0].count);
    found.push(targets[0].count);
  }
  return { found, asked: source.asked };
}

describe('targets of the first samples', () => {
  it('are those of whole samples, as many as reach the number', async () => {
    expect(await counts([25, 7, 30, 99], 40)).toEqual({ found: [25, 7, 30], asked: 7 });
    expect(await counts([25, 7], 1000)).toEqual({ found: [25, 7], asked: 4 });
    expect(await counts([25, 7], 25)).toEqual({ found: [25], asked: 3 });
  });

  it('read no more of a long sample than what is needed', async () => {
    expect(await counts([5000, 10], 35)).toEqual({ found: [40], asked: 4 });
    expect(await counts([12, 5000], 35)).toEqual({ found: [12, 40], asked: 6 });
  });
});
