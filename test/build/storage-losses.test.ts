import { describe, expect, it } from 'vitest';
import { variances } from '../../src/audit/storage-choices.ts';
import { exactLists, randomDraws } from '../../src/build/storage-losses.ts';
import type { DenseRows } from '../../src/distribution/rows.ts';
import { random } from '../support/dump.ts';

const [count, width] = [20, 3000];
const next = random(5);
const values = Float32Array.from({ length: count * width }, () => -4 * Math.log(next() + 1e-9));
const rows: DenseRows = { form: 'dense', count, width, type: 'f32', values };
const labels = new Int32Array(count).fill(-1);
const context = { labels, temperatures: [], sampleId: new Uint8Array(16), position: 0 };
const exact = exactLists.sparsify(rows, context);

/** Probabilities of row t, in float64. */
function row(t: number): number[] {
  const weights = [...values.subarray(t * width, (t + 1) * width)].map(Math.exp);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}
const sum = (of: number[]) => of.reduce((total, value) => total + value, 0);

describe('losses in closed form', () => {
  it('of drawing below τ and rounding above are those of the whole row', () => {
    for (const [step, tau] of [
      [0.003, 0.1],
      [0.03, 0.005],
    ]) {
      const found = variances(exact, { step, tau }, width);
      for (let t = 0; t < count; t++) {
        const each = row(t).map((p) => {
          if (p < tau) return p * (tau - p);
          const level = Math.floor(Math.sqrt(p) / step);
          const [low, high] = [(level * step) ** 2, ((level + 1) * step) ** 2];
          const up = (p - low) / (high - low);
          return up * (high - p) ** 2 + (1 - up) * (low - p) ** 2;
        });
        expect(found[t] / sum(each)).toBeCloseTo(1, 4);
      }
    }
  });

  it('of random draws are those of the whole row', () => {
    const { bytes, variance } = randomDraws(exact, width);
    const all = Array.from({ length: count }, (_, t) => row(t));
    const distinct = sum(all.map((ps) => sum(ps.map((p) => 1 - (1 - p) ** 50))));
    expect(bytes / (3 * distinct)).toBeCloseTo(1, 2);
    expect(variance / sum(all.map((ps) => sum(ps.map((p) => p * (1 - p))) / 50))).toBeCloseTo(1, 5);
  });
});
