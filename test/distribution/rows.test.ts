import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ListRows, selectRows } from '../../src/distribution/rows.ts';

const width = 7;
const wantedOf = (count: number) =>
  fc.uniqueArray(fc.nat(count - 1), { maxLength: count }).map((wanted) => wanted.sort());

describe('rows selected', () => {
  it.each(['f32', 'f16', 'bf16'] as const)('of %s are those rows, and no views', (type) => {
    fc.assert(
      fc.property(wantedOf(6), (wanted) => {
        const all = Array.from({ length: 6 * width }, (_, i) => i);
        const values = type === 'f32' ? Float32Array.from(all) : Uint16Array.from(all);
        const found = selectRows({ form: 'dense', count: 6, width, type, values }, wanted);
        values.fill(0);
        expect(found).toMatchObject({ form: 'dense', count: wanted.length, width, type });
        const rows = wanted.map((i) => all.slice(i * width, (i + 1) * width));
        expect(Array.from(found.values)).toEqual(rows.flat());
      }),
    );
  });

  it('of lists are those lists, with what stands beside them', () => {
    const list = fc.array(fc.nat(width), { maxLength: 4 });
    const lists = fc.array(list, { minLength: 6, maxLength: 6 });
    fc.assert(
      fc.property(lists, wantedOf(6), fc.boolean(), (given, wanted, hasTail) => {
        const offsets = new Uint32Array(7);
        given.forEach((ids, i) => {
          offsets[i + 1] = offsets[i] + ids.length;
        });
        const ids = Uint32Array.from(given.flat());
        const logprobs = Float32Array.from(ids, (id) => -id);
        const tail = hasTail ? Float32Array.from(given, (_, i) => i / 8) : undefined;
        const rows: ListRows = { form: 'lists', count: 6, width, offsets, ids, logprobs, tail };
        const found = selectRows(rows, wanted);
        const own = wanted.map((_, i) => [found.offsets[i], found.offsets[i + 1]]);
        const listsOf = (all: Uint32Array | Float32Array) =>
          own.map(([from, to]) => Array.from(all.subarray(from, to)));
        expect(listsOf(found.ids)).toEqual(wanted.map((i) => given[i]));
        expect(found.logprobs).toEqual(Float32Array.from(found.ids, (id) => -id));
        expect(found.tail && Array.from(found.tail)).toEqual(tail && wanted.map((i) => tail[i]));
        expect(found.labelLogprob).toBeUndefined();
      }),
    );
  });
});
