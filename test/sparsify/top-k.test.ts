import { describe, expect, it } from 'vitest';
import { createSparsifier } from '../../src/sparsify/table.ts';
import { topK } from '../../src/sparsify/top-k.ts';
import { dense, describeSparsifier, entriesOf, sparsify } from '../contracts/sparsifier.ts';
import { random } from '../support/dump.ts';
import { ranked } from '../support/naive.ts';

describeSparsifier('top-k', (k) => topK({ k }));

describe('top-k', () => {
  it('keeps the K most probable, ties by lower id', () => {
    const next = random(3);
    const rows = Array.from({ length: 20 }, () =>
      Array.from({ length: 700 }, () => Math.floor(next() * 50)),
    );
    const targets = sparsify(topK({ k: 64 }), dense(rows));
    rows.forEach((row, t) => {
      expect(entriesOf(targets, t).ids).toEqual(ranked(row, 64));
    });
  });

  it('keeps all where K exceeds V, and then nothing remains', () => {
    const targets = sparsify(topK({ k: 10 }), dense([[1, 2, -Infinity, 2]]));
    expect(entriesOf(targets, 0).ids).toEqual([1, 3, 0]);
    expect(targets.rest[0]).toBeLessThan(1e-15);
  });

  it('serves rows of several widths and types in turn', () => {
    const sparsifier = createSparsifier({ type: 'top-k', k: 2 });
    const widths = [3, 5, 3].map((width) => dense([Array.from({ length: width }, (_, i) => i)]));
    const kept = widths.map((rows) => entriesOf(sparsify(sparsifier, rows), 0).ids);
    expect(kept).toEqual([
      [2, 1],
      [4, 3],
      [2, 1],
    ]);
    const halves = dense([[0x3c00, 0x4000, 0]], { type: 'f16' });
    expect(entriesOf(sparsify(sparsifier, halves), 0).ids).toEqual([1, 0]);
  });
});
