import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { input } from '../../schemas/parse.ts';
import { type PlanRequest, planReply as planReplySchema, planRequest } from '../../schemas/plan.ts';
import { makePlan, openPlan, planId, planReply } from '../../src/plan/plan.ts';

const stream = (samples: number) => ({
  dataset: 'default',
  snapshot: 'a'.repeat(64),
  contentId: 'b'.repeat(64),
  samples,
});

function planOf(samples: number, request: Partial<input<typeof planRequest>> = {}) {
  const parsed: PlanRequest = planRequest.parse({
    streams: [{ dataset: 'default' }],
    ...request,
  });
  return openPlan(makePlan(parsed, [stream(samples)]));
}

const shapes = fc.record({
  samples: fc.integer({ min: 0, max: 400 }),
  global_batch: fc.integer({ min: 1, max: 50 }),
  world: fc.integer({ min: 1, max: 70 }),
  seed: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String),
  epoch: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  tail: fc.constantFrom('short', 'pad', 'drop'),
  mode: fc.constantFrom('none', 'global'),
});

describe('a plan', () => {
  it('gives each sample to exactly one rank, in the same number of steps for all', async () => {
    await fc.assert(
      fc.asyncProperty(
        shapes,
        async ({ samples, global_batch, world, seed, epoch, tail, mode }) => {
          const plan = planOf(samples, { global_batch, seed, tail, shuffle: { mode } });
          const seen = new Uint32Array(samples);
          let padded = 0;
          for (let step = 0; step < plan.steps; step++) {
            for (let rank = 0; rank < world; rank++) {
              const part = await plan.samples({ epoch, step, rank, world });
              expect(part.pad.length).toBe(part.ordinals.length);
              part.ordinals.forEach((ordinal, i) => {
                if (part.pad[i]) padded++;
                else seen[ordinal]++;
              });
            }
          }
          const left = samples % global_batch;
          const expected = tail === 'drop' ? samples - left : samples;
          expect(seen.reduce((sum, times) => sum + times, 0)).toBe(expected);
          expect(seen.every((times) => times <= 1)).toBe(true);
          expect(padded).toBe(tail === 'pad' && left > 0 ? global_batch - left : 0);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('splits a step the same way however many ranks take it', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async ({ samples, global_batch, world, seed, epoch, tail }) => {
        const plan = planOf(samples, { global_batch, seed, tail });
        for (let step = 0; step < plan.steps; step++) {
          const whole = await plan.samples({ epoch, step, rank: 0, world: 1 });
          const parts = await Promise.all(
            Array.from({ length: world }, (_, rank) => plan.samples({ epoch, step, rank, world })),
          );
          expect(parts.flatMap((part) => part.ordinals)).toEqual(whole.ordinals);
          expect(parts.flatMap((part) => [...part.pad])).toEqual([...whole.pad]);
          const sizes = parts.map((part) => part.ordinals.length);
          expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('resumes at any step, up to four times in a row, with other world sizes, in the same order', async () => {
    const run = async (plan: ReturnType<typeof planOf>, stops: readonly number[]) => {
      const ids: number[] = [];
      let world = 1;
      for (let step = 0; step < plan.steps; step++) {
        if (stops.includes(step)) world = (world % 5) + 1;
        const fresh = openPlan(plan.plan);
        for (let rank = 0; rank < world; rank++) {
          ids.push(...(await fresh.samples({ epoch: 3, step, rank, world })).ordinals);
        }
      }
      return ids;
    };
    const plan = planOf(53, { global_batch: 7, seed: '9' });
    const whole = await run(plan, []);
    for (let first = 0; first < plan.steps; first++) {
      for (let count = 1; count <= 4; count++) {
        const stops = Array.from({ length: count }, (_, i) => first + i);
        expect(await run(plan, stops)).toEqual(whole);
      }
    }
  });

  it('reshuffles each epoch and for each seed, and not at all where it is told so', async () => {
    const order = async (seed: string, epoch: number, mode: 'none' | 'global' = 'global') =>
      (
        await planOf(100, { seed, global_batch: 100, shuffle: { mode } }).samples({
          epoch,
          step: 0,
          rank: 0,
          world: 1,
        })
      ).ordinals;
    const drawn = await Promise.all([order('0', 0), order('0', 1), order('1', 0)]);
    const orders = drawn.map((ids) => ids.join());
    expect(new Set(orders).size).toBe(3);
    expect(await order('0', 1)).not.toEqual(await order('1', 0));
    expect(await order('5', 5, 'none')).toEqual(Array.from({ length: 100 }, (_, i) => i));
  });

  it('fills the last step from the start of the epoch and marks what it repeats', async () => {
    const plan = planOf(10, { global_batch: 4, tail: 'pad' });
    const at = (step: number) => plan.samples({ epoch: 0, step, rank: 0, world: 1 });
    expect([...(await at(2)).pad]).toEqual([0, 0, 1, 1]);
    expect((await at(2)).ordinals.slice(2)).toEqual((await at(0)).ordinals.slice(0, 2));
  });

  it('says what an epoch draws and what it leaves unseen', () => {
    const reply = planReply(planOf(10, { global_batch: 4, tail: 'drop' }).plan);
    expect(planReplySchema.parse(reply)).toEqual(reply);
    expect(reply).toMatchObject({ steps_per_epoch: 2, samples_per_epoch: 8 });
    expect(reply.streams[0]).toMatchObject({ drawn: 8, unseen: 2 });
  });

  it.each([
    ['a step beyond the epoch', { step: 3 }, 'step-out-of-range'],
    ['a negative step', { step: -1 }, 'step-out-of-range'],
    ['half a step', { step: 0.5 }, 'step-out-of-range'],
    ['an epoch beyond 32 bits', { epoch: 2 ** 32 }, 'step-out-of-range'],
    ['a rank outside the world', { rank: 2 }, 'rank-out-of-range'],
    ['a negative rank', { rank: -1 }, 'rank-out-of-range'],
  ])('refuses %s', async (_, change, code) => {
    const plan = planOf(10, { global_batch: 4 });
    const ask = () => plan.samples({ epoch: 0, step: 0, rank: 0, world: 2, ...change });
    await expect(ask()).rejects.toMatchObject({ code });
  });

  it.each([
    ['blocks', { shuffle: { mode: 'block', block: 4 } }],
    ['an epoch size', { epoch_size: 100 }],
    ['packing', { packing: 'c'.repeat(64) }],
    ['a filter', { filter: 'c'.repeat(64) }],
    ['a proportion', { streams: [{ dataset: 'default', proportion: 2 }] }],
    ['repetition', { streams: [{ dataset: 'default', repeat: 2 }] }],
    ['a choice', { streams: [{ dataset: 'default', choose: 2 }] }],
  ] as [string, Partial<input<typeof planRequest>>][])('refuses %s', (_, request) => {
    expect(() => planOf(10, request)).toThrowError(
      expect.objectContaining({ code: 'plan-unsupported' }),
    );
  });

  it('refuses several streams', () => {
    const streams = [{ dataset: 'a' }, { dataset: 'b' }];
    const make = () => makePlan(planRequest.parse({ streams }), [stream(1), stream(2)]);
    expect(make).toThrowError(expect.objectContaining({ code: 'plan-unsupported' }));
  });

  it('is the same plan for the same content, whatever snapshot holds it', () => {
    const request = planRequest.parse({ streams: [{ dataset: 'default' }] });
    const elsewhere = { ...stream(10), dataset: 'other', snapshot: 'd'.repeat(64) };
    const [a, b] = [makePlan(request, [stream(10)]), makePlan(request, [elsewhere])];
    expect(planId(b.identity)).toBe(planId(a.identity));
    const other = makePlan(request, [{ ...stream(10), contentId: 'e'.repeat(64) }]);
    expect(planId(other.identity)).not.toBe(planId(a.identity));
  });
});

interface GoldenPlan {
  readonly request: Partial<input<typeof planRequest>>;
  readonly content_id: string;
  readonly samples: number;
  readonly plan: string;
  readonly steps_per_epoch: number;
  readonly first: Record<string, number[]>;
}

describe('golden plans', () => {
  const golden: GoldenPlan[] = JSON.parse(readFileSync('data/plan-golden.json', 'utf8'));
  it.each(golden)('$plan', async ({ request, content_id, samples, ...expected }) => {
    const parsed = planRequest.parse({ streams: [{ dataset: 'default' }], ...request });
    const plan = openPlan(makePlan(parsed, [{ ...stream(samples), contentId: content_id }]));
    expect(plan.id).toBe(expected.plan);
    expect(plan.steps).toBe(expected.steps_per_epoch);
    for (const [epoch, ids] of Object.entries(expected.first)) {
      const step = { epoch: Number(epoch), step: 0, rank: 0, world: 1 };
      expect((await plan.samples(step)).ordinals).toEqual(ids);
    }
  });
});
