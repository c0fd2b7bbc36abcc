import { describe, expect, it } from 'vitest';
import { chooseRules } from '../../src/build/choose.ts';
import { withSparsifier } from '../../src/build/rules.ts';
import type { Chunk, Head, Source } from '../../src/capture/source.ts';
import { configOf } from '../support/dump.ts';

const topK = { type: 'top-k', k: 64 };

it.each([
  ['whole distributions', 'whole', {}, { type: 'threshold' }],
  ['a budget of bytes', 'whole', { budget: { bytes_per_position: 20 } }, { type: 'threshold' }],
  ['top lists', 'top', {}, topK],
  ['a KL budget, which unbiased targets cannot have', 'whole', { budget: { max_kl: 1e-4 } }, topK],
  ['temperatures, at which drawn targets are refused', 'whole', { temperatures: [2] }, topK],
  ['its own', 'whole', { sparsifier: { type: 'top-k', k: 3 } }, { type: 'top-k', k: 3 }],
])('the sparsifier of %s', (_, reports, settings, expected) => {
  const source = { identity: { reports } } as unknown as Source;
  const config = configOf(settings);
  expect(withSparsifier(config, source)).toEqual({ ...config, sparsifier: expected });
});

describe('the heads of a detector', () => {
  const size = 6;
  const labelSpace = { kind: 'classes' as const, size, tokenizer: null };
  const heads: readonly Head[] = [
    { name: 'objects', labelSpace, normalisation: 'sigmoid' },
    { name: 'classes', labelSpace, normalisation: 'softmax' },
  ];
  const sourceOf = (own: readonly Head[]): Source => ({
    identity: {
      name: 'teacher',
      revision: '1',
      source: 'vision',
      vocabulary: size,
      tokenizer: null,
      reports: 'whole',
    },
    inputs: { origin: 'drawn', licence: 'CC0-1.0', digest: '' },
    vision: { heads: own, fields: [], pipeline: null },
    async *chunks() {
      const values = Float32Array.from({ length: 32 * size }, (_, i) => 3 * Math.sin(i * i));
      const ref = JSON.stringify({ sha256: '0'.repeat(64), uri: 'file:///0.jpg' });
      const image = { ref, values: [], labels: new Int32Array(32).fill(-100) };
      const mask = new Uint8Array(32).fill(1);
      const sample = { ordinal: 0, tokens: new Int32Array(0), mask, image, meta: {} };
      for (const head of own.keys()) {
        const rows = { form: 'dense', count: 32, width: size, type: 'f32', values } as const;
        yield { sample, position: 0, rows, head } satisfies Chunk;
      }
    },
    close: async () => {},
  });
  const choose = (own: readonly Head[], settings: Record<string, unknown>) => {
    const source = sourceOf(own);
    return chooseRules(withSparsifier(configOf(settings), source), source);
  };
  const stepsOf = async (own: readonly Head[], settings: Record<string, unknown>) =>
    (await choose(own, settings)).map(({ codec }) => Number(codec.parameters.step));

  it('are not sampled where their scores are no distribution', async () => {
    for (const sparsifier of [{ type: 'threshold' }, { type: 'threshold', tau: 0.1 }]) {
      for (const codec of [{ type: 'raw' }, { type: 'planes' }]) {
        await expect(choose(heads, { sparsifier, codec })).rejects.toMatchObject({
          code: 'config-invalid',
          message: expect.stringContaining('objects'),
          expected: 'top-k',
          got: 'threshold',
        });
        const [only] = await choose(heads.slice(1), { sparsifier, codec });
        expect(only.sparsifier.name).toBe('threshold');
      }
    }
  });

  it('are solved for a KL where they have one', async () => {
    const [plain, budget] = [{}, { budget: { max_kl: 1e-5 } }];
    const [objects, classes] = await stepsOf(heads, plain);
    const solved = await stepsOf(heads, budget);
    expect(solved[0]).toBe(objects);
    expect(solved[1]).toBeGreaterThan(0);
    expect(solved[1]).toBeLessThan(classes / 2);
    await expect(choose(heads.slice(0, 1), budget)).rejects.toMatchObject({
      code: 'config-invalid',
    });
    const bytes = { budget: { bytes_per_position: 20 } };
    await expect(choose(heads, bytes)).rejects.toMatchObject({ code: 'config-invalid' });
  });
});
