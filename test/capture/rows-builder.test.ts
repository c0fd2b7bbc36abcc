import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRowsBuilder } from '../../src/capture/servers/rows-builder.ts';

describe('a list of a server', () => {
  it('is put in order whatever order it comes in, however long', () => {
    const lists = fc.uniqueArray(fc.nat(999), { minLength: 1, maxLength: 300, size: 'max' });
    fc.assert(
      fc.property(lists, (ids) => {
        const tokens = Int32Array.of(1, 2);
        const builder = createRowsBuilder({ tokens, k: ids.length, width: 1000 });
        // ties come in every list of a few entries
        const logprobOf = (id: number) => -6 - (id % 50);
        for (const id of ids) builder.add(id, logprobOf(id));
        builder.next();
        const sorted = ids.toSorted((a, b) => logprobOf(b) - logprobOf(a) || a - b);
        expect([...builder.finish().ids]).toEqual(sorted);
      }),
    );
  });
});
