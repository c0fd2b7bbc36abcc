import { expect, it } from 'vitest';
import { withSparsifier } from '../../src/build/rules.ts';
import type { Source } from '../../src/capture/source.ts';
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
