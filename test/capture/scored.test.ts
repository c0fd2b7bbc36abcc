import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeScored, encodeScored, sequenceKey } from '../../src/capture/scored.ts';
import { coded } from '../contracts/store.ts';

const scored = fc
  .array(fc.array(fc.nat(8191), { maxLength: 5 }), { minLength: 1, maxLength: 20 })
  .map((lists) => {
    const offsets = new Uint32Array(lists.length + 1);
    for (const [t, list] of lists.entries()) offsets[t + 1] = offsets[t] + list.length;
    const ids = Uint32Array.from(lists.flat());
    return {
      tokens: Int32Array.from(lists, (_, t) => t * 7),
      k: 5,
      rows: {
        form: 'lists' as const,
        count: lists.length,
        width: 8192,
        offsets,
        ids,
        logprobs: Float32Array.from(ids, (id) => -id / 1000),
        labelLogprob: Float32Array.from(lists, (_, t) => (t % 3 === 0 ? Number.NaN : -t)),
      },
    };
  });

describe('a record of a scored sequence', () => {
  it('decodes to what was encoded, at any alignment', () => {
    fc.assert(
      fc.property(scored, fc.nat(3), (value, shift) => {
        const bytes = encodeScored(value);
        const moved = Buffer.concat([Buffer.alloc(shift), bytes]).subarray(shift);
        expect(decodeScored(moved)).toEqual(value);
      }),
    );
  });

  it('of any other length is refused', () => {
    const [value] = fc.sample(scored, { numRuns: 1, seed: 3 });
    const bytes = encodeScored(value);
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeScored(bytes.subarray(0, length))).toThrowError(coded('log-damaged'));
    }
    const longer = Buffer.concat([bytes, Buffer.alloc(4)]);
    expect(() => decodeScored(longer)).toThrowError(coded('log-damaged'));
  });

  it('has an address that hangs on every token', () => {
    const key = sequenceKey(Int32Array.of(1, 2, 3));
    expect(key).toMatch(/^[0-9a-f]{32}$/);
    expect(sequenceKey(Int32Array.of(1, 2, 4))).not.toBe(key);
    expect(sequenceKey(Int32Array.of(1, 2))).not.toBe(key);
  });
});
