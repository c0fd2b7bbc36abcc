import { describe, expect, it } from 'vitest';
import { raw } from '../../src/encode/raw.ts';
import { bytesOf } from '../../src/formats/layout.ts';
import { cellsOf, damagedFrame, describeCodec } from '../contracts/codec.ts';
import { targetsOf } from '../support/targets.ts';

describeCodec({
  name: 'raw',
  open: raw,
  expected: ({ offsets, ids, logprobs, rest }) => ({
    offsets,
    ids,
    probs: Float32Array.from(logprobs, Math.exp),
    rest,
  }),
});

describe('raw', () => {
  it('stores unbiased weights without a rest', () => {
    const codec = raw({ kind: 'unbiased', width: 10 });
    expect(Object.keys(codec.columns)).toEqual(['counts', 'ids', 'logprobs']);
    const targets = targetsOf([[{ id: 3, p: 1.5 }]], { kind: 'unbiased' });
    const decoded = codec.decode(cellsOf(codec, targets), 1);
    expect(decoded.probs[0]).toBeCloseTo(1.5, 6);
    expect(decoded.rest).toHaveLength(0);
  });

  it('refuses counts whose sum leaves 32 bits', () => {
    const codec = raw({ kind: 'scaled', width: 10 });
    const [, ids, logprobs, rest] = cellsOf(codec, targetsOf([[{ id: 1, p: 1 }], []]));
    const counts = bytesOf(Uint32Array.of(0xffffffff, 2));
    expect(() => codec.decode([counts, ids, logprobs, rest], 2)).toThrowError(damagedFrame);
  });
});
