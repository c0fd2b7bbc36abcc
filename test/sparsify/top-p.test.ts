import { describe, expect, it } from 'vitest';
import { createSparsifier } from '../../src/sparsify/table.ts';
import { topP } from '../../src/sparsify/top-p.ts';
import { dense, describeSparsifier, entriesOf, lists, sparsify } from '../contracts/sparsifier.ts';

describeSparsifier('top-p', (k) => topP({ p: 1, floor: 1, cap: k }));

const row = [0.5, 0.25, 0.125, 0.0625, 0.0625].map(Math.log);
const kept = (options: { p: number; floor?: number; cap?: number }) => {
  const sparsifier = topP({ floor: 1, cap: 5, ...options });
  const targets = sparsify(sparsifier, dense([row]));
  return { ids: entriesOf(targets, 0).ids, rest: targets.rest[0] };
};

describe('top-p', () => {
  it.each([
    [0.4, [0], 0.5],
    [0.6, [0, 1], 0.25],
    [0.8, [0, 1, 2], 0.125],
    [0.9, [0, 1, 2, 3], 0.0625],
  ])('keeps the fewest entries that hold %d', (p, ids, rest) => {
    const found = kept({ p });
    expect(found.ids).toEqual(ids);
    expect(found.rest).toBeCloseTo(rest, 6);
  });

  it('keeps at least `floor` and at most `cap`; what the cap cuts is in `rest`', () => {
    expect(kept({ p: 0.1, floor: 3 }).ids).toEqual([0, 1, 2]);
    const capped = kept({ p: 0.99, cap: 2 });
    expect(capped.ids).toEqual([0, 1]);
    expect(capped.rest).toBeCloseTo(0.25, 6);
  });

  it('cuts top lists by the same rule', () => {
    const list = { ids: [9, 4, 7], probs: [0.5, 0.3, 0.1] };
    const sparsifier = createSparsifier({ type: 'top-p', p: 0.7, floor: 1, cap: 3 });
    const targets = sparsify(sparsifier, lists([list], { tail: [0.1] }));
    expect(entriesOf(targets, 0).ids).toEqual([9, 4]);
    expect(targets.rest[0]).toBeCloseTo(0.2, 6);
  });
});
