import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { permutation } from '../../src/plan/permutation.ts';
import { orderKey } from '../../src/plan/shuffle.ts';

const keyOf = (text: string) => createHash('sha256').update(text).digest();

/** docs/plan.md read once more, in BigInt. */
function documented(key: Buffer, n: number): (index: number) => number {
  const mask = 0xffffffffn;
  const k = Array.from({ length: 8 }, (_, i) => BigInt(key.readUInt32LE(4 * i)));
  const mix = (value: bigint) => {
    let x = ((value ^ (value >> 16n)) * 0x85ebca6bn) & mask;
    x = ((x ^ (x >> 13n)) * 0xc2b2ae35n) & mask;
    return x ^ (x >> 16n);
  };
  const f = (c: bigint, x: bigint) =>
    mix(
      (mix(x ^ k[Number(c % 8n)]) + k[Number((c + 3n) % 8n)] + ((c * 0x9e3779b9n) & mask)) & mask,
    );
  if (n < 65_536) {
    const order = Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = Number((f(BigInt(i), BigInt(i)) * BigInt(i + 1)) >> 32n);
      [order[i], order[j]] = [order[j], order[i]];
    }
    return (index) => order[index];
  }
  const half = BigInt(Math.ceil((n - 1).toString(2).length / 2));
  const once = (v: bigint) => {
    let [left, right] = [v >> half, v & ((1n << half) - 1n)];
    for (let c = 0n; c < 10n; c++) [left, right] = [right, left ^ (f(c, right) >> (32n - half))];
    return (left << half) | right;
  };
  return (index) => {
    let v = once(BigInt(index));
    while (v >= BigInt(n)) v = once(v);
    return Number(v);
  };
}

describe('the permutation', () => {
  const around = [8, 10, 12, 16, 17].flatMap((bits) => [2 ** bits - 1, 2 ** bits, 2 ** bits + 1]);
  it.each([1, 2, 3, 5, 100, 70_001, 200_000, ...around])('of %i is a bijection', (n) => {
    const at = permutation(keyOf(`bijection ${n}`), n);
    const seen = new Uint8Array(n);
    for (let i = 0; i < n; i++) seen[at(i)]++;
    expect(seen.every((times) => times === 1)).toBe(true);
  });

  it('is a bijection on random sizes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 90_000 }), fc.string(), (n, text) => {
        const at = permutation(keyOf(text), n);
        const seen = new Uint8Array(n);
        for (let i = 0; i < n; i++) seen[at(i)]++;
        return seen.every((times) => times === 1);
      }),
      { numRuns: 30 },
    );
  });

  it('is what docs/plan.md says, up to 2^52 items', () => {
    const size = fc.oneof(
      fc.integer({ min: 1, max: 3000 }),
      fc.integer({ min: 65_534, max: 70_000 }),
      fc.integer({ min: 16, max: 51 }).map((bits) => 2 ** bits),
      fc.integer({ min: 16, max: 51 }).map((bits) => 2 ** bits + 1),
      fc.integer({ min: 2 ** 16, max: 2 ** 52 }),
      fc.constant(2 ** 52),
    );
    fc.assert(
      fc.property(
        size,
        fc.string(),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (n, text, place) => {
          const index = Math.min(n - 1, Math.floor(place * n));
          const key = keyOf(text);
          expect(permutation(key, n)(index)).toBe(documented(key, n)(index));
        },
      ),
      { numRuns: 200 },
    );
  });

  it('sends every item to every place equally often', () => {
    const [n, keys] = [12, 6000];
    const counts = new Float64Array(n * n);
    for (let i = 0; i < keys; i++) {
      const at = permutation(keyOf(`uniform ${i}`), n);
      for (let place = 0; place < n; place++) counts[place * n + at(place)]++;
    }
    const expected = keys / n;
    const chi = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    // 121 degrees of freedom: mean 121, standard deviation 15.6
    expect(chi).toBeLessThan(121 + 5 * 15.6);
  });

  it.each([1000, 100_000])('of %i gives neighbouring epochs and plans unrelated orders', (n) => {
    const plan = keyOf('plan').toString('hex');
    const other = keyOf('plan 2').toString('hex');
    const key = (plan: string, epoch: number) => orderKey({ plan, epoch, stream: 0, pass: 0 }, 0);
    const orders = [key(plan, 7), key(plan, 8), key(other, 7)].map((key) =>
      Float64Array.from({ length: n }, (_, i) => i).map(permutation(key, n)),
    );
    const limit = 5 / Math.sqrt(n);
    for (const [a, b] of [
      [0, 1],
      [0, 2],
      [1, 2],
    ]) {
      expect(Math.abs(correlation(orders[a], orders[b]))).toBeLessThan(limit);
    }
    for (const order of orders) {
      const itself = Float64Array.from({ length: n }, (_, i) => i);
      expect(Math.abs(correlation(order, itself))).toBeLessThan(limit);
      expect(Math.abs(correlation(order.slice(1), order.slice(0, -1)))).toBeLessThan(limit);
    }
  });
});

function correlation(a: Float64Array, b: Float64Array): number {
  const mean = (values: Float64Array) => values.reduce((sum, v) => sum + v, 0) / values.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    ab += (a[i] - meanA) * (b[i] - meanB);
    aa += (a[i] - meanA) ** 2;
    bb += (b[i] - meanB) ** 2;
  }
  return ab / Math.sqrt(aa * bb);
}
