import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createMix, spread, strideOf } from '../../src/plan/mix.ts';

type Streams = Parameters<typeof createMix>[0]['streams'];
const content_id = 'b'.repeat(64);

interface Part {
  items: number;
  share: Omit<Streams[number], 'content_id'>;
}

const absolute: fc.Arbitrary<Part[]> = fc.array(
  fc.record({
    items: fc.integer({ min: 1, max: 200 }),
    share: fc.oneof(
      fc.constant({}),
      fc.record({ repeat: fc.integer({ min: 1, max: 4 }) }),
      fc.record({ choose: fc.integer({ min: 1, max: 400 }) }),
    ),
  }),
  { minLength: 1, maxLength: 8 },
);
const relative: fc.Arbitrary<Part[]> = fc.array(
  fc.record({
    items: fc.integer({ min: 1, max: 200 }),
    share: fc.record({ proportion: fc.integer({ min: 1, max: 100 }) }),
  }),
  { minLength: 1, maxLength: 8 },
);
const shapes = fc.record({
  parts: fc.oneof(absolute, relative),
  global_batch: fc.integer({ min: 2, max: 60 }),
  epoch_size: fc.option(fc.integer({ min: 0, max: 900 })),
  stop: fc.constantFrom('first' as const, 'all' as const),
});

describe('the mix of several streams', () => {
  it('has in each step the floor or ceiling of the ideal, and in the epoch exact totals', () => {
    fc.assert(
      fc.property(shapes, ({ parts, global_batch, epoch_size, stop }) => {
        const streams: Streams = parts.map(({ share }) => ({ content_id, ...share }));
        const items = parts.map((part) => part.items);
        const mix = createMix({ streams, global_batch, epoch_size, stop }, items);
        const sums = items.map(() => 0);
        for (let step = 0; step <= mix.full; step++) {
          expect(mix.before(step)).toEqual(sums);
          const counts = mix.counts(step);
          const size = step < mix.full ? global_batch : mix.size - mix.full * global_batch;
          expect(counts.reduce((sum, count) => sum + count, 0)).toBe(size);
          for (const [i, count] of counts.entries()) {
            const ideal = (size * mix.quotas[i]) / Math.max(1, mix.size);
            if (step < mix.full) {
              expect([Math.floor(ideal + 1e-9), Math.ceil(ideal - 1e-9)]).toContain(count);
            } else {
              expect(Math.abs(count - ideal)).toBeLessThanOrEqual(1 + 1e-9);
            }
            sums[i] += count;
          }
        }
        expect(sums).toEqual(mix.quotas);
      }),
      { numRuns: 150 },
    );
  });

  it('stays near the ideal all along the epoch', () => {
    const streams = [5, 50, 3, 200, 1].map((proportion) => ({ content_id, proportion }));
    const items = [10_000, 90_000, 40_000, 500_000, 2_000];
    const mix = createMix({ streams, global_batch: 7, epoch_size: 300_000, stop: 'all' }, items);
    let worst = 0;
    for (let step = 0; step < mix.full; step += 13) {
      for (const [i, count] of mix.before(step).entries()) {
        worst = Math.max(worst, Math.abs(count - (step * 7 * mix.quotas[i]) / mix.size));
      }
    }
    expect(worst).toBeLessThan(3);
  });

  it('ends with the first stream that is seen, or once all are', () => {
    const streams = [
      { content_id, proportion: 1 },
      { content_id, proportion: 3 },
    ];
    const of = (stop: 'first' | 'all') =>
      createMix({ streams, global_batch: 4, epoch_size: null, stop }, [100, 60]).quotas;
    expect(of('first')).toEqual([20, 60]);
    expect(of('all')).toEqual([100, 300]);
  });

  it('takes whole passes, and as many as chosen', () => {
    const streams = [{ content_id, repeat: 2 }, { content_id, choose: 7 }, { content_id }];
    const shares = { streams, global_batch: 4, epoch_size: null, stop: 'all' as const };
    expect(createMix(shares, [10, 100, 5]).quotas).toEqual([20, 7, 5]);
    expect(createMix({ ...shares, epoch_size: 16 }, [10, 100, 5]).quotas).toEqual([10, 3, 3]);
  });

  it('answers for an epoch near 2^53 items', () => {
    const streams = [
      { content_id, proportion: 1 },
      { content_id, proportion: 2 ** 31 },
    ];
    const size = Number.MAX_SAFE_INTEGER;
    const shares = { streams, global_batch: 9, epoch_size: size, stop: 'all' as const };
    const mix = createMix(shares, [5, 2 ** 52]);
    expect(mix.quotas[0] + mix.quotas[1]).toBe(size);
    const before = mix.before(mix.full - 1);
    expect(before[0] + before[1]).toBe((mix.full - 1) * 9);
    expect(mix.quotas[0]).toBe(Math.floor(size / (2 ** 31 + 1)));
  });

  it.each([
    ['items of an empty stream', [{}, {}], [4, 0], { epoch_size: 3 }, undefined],
    ['items where there are none', [{}], [0], { epoch_size: 3 }, 'request-invalid'],
    [
      'a share of an empty stream',
      [{ proportion: 1 }, { proportion: 1 }],
      [4, 0],
      {},
      'request-invalid',
    ],
    ['a choice from nothing', [{ choose: 2 }], [0], {}, 'request-invalid'],
    ['more than 2^53 items', [{ repeat: 2 ** 31 }], [2 ** 40], {}, 'request-invalid'],
  ])('%s', (_, shares, items, more, code) => {
    const streams = shares.map((share) => ({ content_id, ...share }));
    const make = () =>
      createMix({ streams, global_batch: 2, epoch_size: null, stop: 'all', ...more }, items);
    if (code === undefined) expect(make().size).toBe(3);
    else expect(make).toThrowError(expect.objectContaining({ code }));
  });
});

describe('places of a step', () => {
  it('visit every slot once and spread the streams', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 6 }),
        (counts) => {
          const places = [...spread(counts)];
          counts.forEach((count, stream) => {
            expect(places.filter((place) => place === stream).length).toBe(count);
          });
        },
      ),
    );
    const halves = spread([500, 500]);
    const first = halves.subarray(0, 100).filter((stream) => stream === 0).length;
    expect(Math.abs(first - 50)).toBeLessThanOrEqual(2);
  });

  it('have a stride that is coprime to their number', () => {
    const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));
    for (let n = 1; n < 2000; n++) expect(gcd(strideOf(n), n)).toBe(1);
  });
});
