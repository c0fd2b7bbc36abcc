import { describe, expect, it } from 'vitest';
import type { DenseRows, ListRows } from '../../src/distribution/rows.ts';
import { createSparsifier } from '../../src/sparsify/table.ts';
import { coded } from '../contracts/store.ts';

const width = 400;
const count = 12;
const tau = 0.03;
const dense: DenseRows = {
  form: 'dense',
  count,
  width,
  type: 'f32',
  values: Float32Array.from({ length: count * width }, (_, i) => 6 * Math.sin(i * i * 0.37) ** 3),
};
const context = {
  labels: new Int32Array(count).fill(3),
  temperatures: [],
  sampleId: new Uint8Array(16).map((_, i) => 31 * i + 7),
  position: 5,
};

/** What a worker draws: the same, with the weights above τ as they are. */
function drawn(): ListRows {
  const exact = createSparsifier({ type: 'threshold', tau }).sparsify(dense, context);
  const { offsets, ids, logprobs, labelLogprob } = exact;
  return {
    form: 'lists',
    count,
    width,
    offsets,
    ids,
    logprobs,
    labelLogprob,
    drawn: Math.fround(tau),
  };
}

describe('draws that a worker made', () => {
  it('take the levels that a draw here gives them', () => {
    const sparsifier = createSparsifier({ type: 'threshold', tau, step: 0.0095 });
    expect(sparsifier.sparsify(drawn(), context)).toEqual(sparsifier.sparsify(dense, context));
  });

  it('are refused at another tau, as are lists that were not drawn', () => {
    const sparsifier = createSparsifier({ type: 'threshold', tau: 0.02 });
    expect(() => sparsifier.sparsify(drawn(), context)).toThrowError(coded('config-invalid'));
    const { drawn: _, ...lists } = drawn();
    expect(() => sparsifier.sparsify(lists, context)).toThrowError(coded('config-invalid'));
  });
});
