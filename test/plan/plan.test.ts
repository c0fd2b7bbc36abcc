import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planReply as planReplySchema, planRequest } from '../../schemas/plan.ts';
import { openPlan } from '../../src/plan/open-plan.ts';
import { makePlan, planId, planReply } from '../../src/plan/plan.ts';
import { type Asked, memoryStore, planOf, requestOf, rowsOf, streamOf } from '../support/plans.ts';

const shuffles = fc.oneof(
  fc.constant({ mode: 'none' as const }),
  fc.constant({ mode: 'global' as const }),
  fc.record({ mode: fc.constant('block' as const), block: fc.integer({ min: 1, max: 30 }) }),
);
const seeds = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String);
const shapes = fc.record({
  samples: fc.array(fc.integer({ min: 0, max: 120 }), { minLength: 1, maxLength: 3 }),
  global_batch: fc.integer({ min: 1, max: 50 }),
  world: fc.integer({ min: 1, max: 30 }),
  seed: seeds,
  epoch: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  tail: fc.constantFrom('short' as const, 'pad' as const, 'drop' as const),
  shuffle: shuffles,
});

describe('a plan', () => {
  it('gives each sample to exactly one rank, in the same number of steps for all', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async ({ samples, world, epoch, ...asked }) => {
        const { global_batch, tail } = asked;
        const plan = await planOf(samples, asked);
        const seen = new Map<string, number>();
        let padded = 0;
        for (let step = 0; step < plan.steps; step++) {
          for (let rank = 0; rank < world; rank++) {
            const part = await plan.samples({ epoch, step, rank, world });
            expect(part.pad.length).toBe(part.ordinals.length);
            part.ordinals.forEach((ordinal, i) => {
              const row = `${part.streams[i]}/${ordinal}`;
              if (part.pad[i]) padded++;
              else seen.set(row, (seen.get(row) ?? 0) + 1);
            });
          }
        }
        const total = samples.reduce((sum, n) => sum + n, 0);
        const left = total % global_batch;
        expect(seen.size).toBe(tail === 'drop' ? total - left : total);
        expect([...seen.values()].every((times) => times === 1)).toBe(true);
        expect(padded).toBe(tail === 'pad' && left > 0 ? global_batch - left : 0);
      }),
      { numRuns: 150 },
    );
  });

  it('splits a step the same way however many ranks take it', async () => {
    await fc.assert(
      fc.asyncProperty(shapes, async ({ samples, world, epoch, ...asked }) => {
        const plan = await planOf(samples, asked);
        for (let step = 0; step < plan.steps; step += 3) {
          const whole = await plan.samples({ epoch, step, rank: 0, world: 1 });
          const parts = await Promise.all(
            Array.from({ length: world }, (_, rank) => plan.samples({ epoch, step, rank, world })),
          );
          expect(parts.flatMap((part) => part.ordinals)).toEqual(whole.ordinals);
          expect(parts.flatMap((part) => part.streams)).toEqual(whole.streams);
          expect(parts.flatMap((part) => [...part.pad])).toEqual([...whole.pad]);
          const sizes = parts.map((part) => part.ordinals.length);
          expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('resumes at any step, up to four times in a row, with other world sizes, in the same order', async () => {
    const plans: [number[], Asked][] = [
      [[53], { global_batch: 7, seed: '9' }],
      [[20, 33], { global_batch: 7, shuffle: { mode: 'block', block: 3 } }],
    ];
    for (const [samples, asked] of plans) {
      const run = async (stops: readonly number[]) => {
        const ids: string[] = [];
        let world = 1;
        let plan = await planOf(samples, asked);
        for (let step = 0; step < plan.steps; step++) {
          if (stops.includes(step)) {
            world = (world % 5) + 1;
            plan = await planOf(samples, asked);
          }
          for (let rank = 0; rank < world; rank++) {
            const rows = await plan.samples({ epoch: 3, step, rank, world });
            ids.push(...rows.ordinals.map((ordinal, i) => `${rows.streams[i]}/${ordinal}`));
          }
        }
        return ids;
      };
      const whole = await run([]);
      const { steps } = await planOf(samples, asked);
      for (let first = 0; first < steps; first++) {
        for (let count = 1; count <= 4; count++) {
          const stops = Array.from({ length: count }, (_, i) => first + i);
          expect(await run(stops)).toEqual(whole);
        }
      }
    }
  });

  it('gives replicas the batch of the rank that they stand for', async () => {
    const plan = await planOf(53, { global_batch: 8 });
    for (let rank = 0; rank < 12; rank++) {
      const ask = (view: { rank: number; world: number; replicate?: number }) =>
        plan.samples({ epoch: 1, step: 2, ...view });
      const replica = await ask({ rank, world: 12, replicate: 4 });
      expect(replica).toEqual(await ask({ rank: Math.floor(rank / 4), world: 3 }));
    }
  });

  it('repeats a stream in new passes, each of them whole', async () => {
    const asked: Asked = { global_batch: 10, streams: [{ dataset: 'default', repeat: 3 }] };
    const rows = (await rowsOf(await planOf(40, asked), {})).flat();
    const passes = [0, 1, 2].map((pass) => rows.slice(pass * 40, (pass + 1) * 40));
    for (const pass of passes) expect(new Set(pass).size).toBe(40);
    expect(new Set(passes.map((pass) => pass.join())).size).toBe(3);
  });

  it('mixes in every step, whatever the lengths', async () => {
    const plan = await planOf([900, 90, 9], { global_batch: 111 });
    for (const rows of await rowsOf(plan, {})) {
      const counts = [0, 1, 2].map((s) => rows.filter((row) => row.startsWith(`${s}/`)).length);
      expect(counts).toEqual([100, 10, 1]);
    }
  });

  it('reshuffles each epoch and for each seed, and not at all where it is told so', async () => {
    const order = async (seed: string, epoch: number, shuffle: Asked['shuffle']) => {
      const plan = await planOf(100, { seed, global_batch: 100, shuffle });
      return (await plan.samples({ epoch, step: 0, rank: 0, world: 1 })).ordinals;
    };
    for (const shuffle of [{ mode: 'global' }, { mode: 'block', block: 5 }] as const) {
      const drawn = [
        await order('0', 0, shuffle),
        await order('0', 1, shuffle),
        await order('1', 0, shuffle),
        await order('1', 1, shuffle),
      ];
      expect(new Set(drawn.map((ids) => ids.join())).size).toBe(4);
    }
    const stored = await order('5', 5, { mode: 'none' });
    expect(stored).toEqual(Array.from({ length: 100 }, (_, i) => i));
  });

  it('keeps neighbours near each other where it shuffles by blocks', async () => {
    const plan = await planOf(10_000, { global_batch: 100, shuffle: { mode: 'block', block: 50 } });
    for (let step = 0; step < plan.steps; step++) {
      const { ordinals } = await plan.samples({ epoch: 0, step, rank: 0, world: 1 });
      // a group of 16 blocks and, where a step spans two, those of the next
      const touched = new Set(ordinals.map((ordinal) => Math.floor(ordinal / 50)));
      expect(touched.size).toBeLessThanOrEqual(32);
    }
  });

  it('fills the last step from the start of the epoch and marks what it repeats', async () => {
    const plan = await planOf([6, 4], { global_batch: 4, tail: 'pad' });
    const at = (step: number) => plan.samples({ epoch: 0, step, rank: 0, world: 1 });
    const [first, last] = [await at(0), await at(2)];
    expect([...last.pad]).toEqual([0, 0, 1, 1]);
    expect(last.ordinals.slice(2)).toEqual(first.ordinals.slice(0, 2));
    expect(last.streams.slice(2)).toEqual(first.streams.slice(0, 2));
    const tiny = await planOf(2, { global_batch: 5, tail: 'pad', shuffle: { mode: 'none' } });
    const rows = await tiny.samples({ epoch: 0, step: 0, rank: 0, world: 1 });
    expect(rows.ordinals).toEqual([0, 1, 0, 1, 0]);
    expect([...rows.pad]).toEqual([0, 0, 1, 1, 1]);
  });

  it('says what an epoch draws and what it leaves unseen', async () => {
    const reply = planReply((await planOf([10, 5], { global_batch: 4, tail: 'drop' })).plan);
    expect(planReplySchema.parse(reply)).toEqual(reply);
    expect(reply).toMatchObject({ steps_per_epoch: 3, items_per_epoch: 12 });
    expect(reply.streams.map(({ drawn, unseen }) => [drawn, unseen])).toEqual([
      [8, 2],
      [4, 1],
    ]);
  });

  it('answers for a thousand million samples in constant memory', async () => {
    const plan = await planOf([10 ** 9, 3 * 10 ** 8], { global_batch: 1024 });
    const heap = process.memoryUsage().heapUsed;
    for (const step of [0, 1, 777_777, plan.steps - 1]) {
      const rows = await plan.samples({ epoch: 9, step, rank: 3, world: 8 });
      expect(rows.ordinals.length).toBeGreaterThan(30);
    }
    expect(process.memoryUsage().heapUsed - heap).toBeLessThan(16 * 1024 * 1024);
  });

  it.each([
    ['a step beyond the epoch', { step: 3 }, 'step-out-of-range'],
    ['a negative step', { step: -1 }, 'step-out-of-range'],
    ['half a step', { step: 0.5 }, 'step-out-of-range'],
    ['an epoch beyond 32 bits', { epoch: 2 ** 32 }, 'step-out-of-range'],
    ['a rank outside the world', { rank: 2 }, 'rank-out-of-range'],
    ['a negative rank', { rank: -1 }, 'rank-out-of-range'],
    ['replicas that do not divide the world', { replicate: 3 }, 'rank-out-of-range'],
  ])('refuses %s', async (_, change, code) => {
    const plan = await planOf(10, { global_batch: 4 });
    const ask = () => plan.samples({ epoch: 0, step: 0, rank: 0, world: 2, ...change });
    await expect(ask()).rejects.toMatchObject({ code });
  });

  it.each([
    ['proportions of some streams only', [{ proportion: 2 }, {}], 'either all'],
    ['two shares of one stream', [{ repeat: 2, choose: 3 }], 'at most one'],
  ])('refuses %s', (_, shares, text) => {
    const streams = shares.map((share) => ({ dataset: 'default', ...share }));
    expect(() => planRequest.parse({ streams })).toThrow(text);
  });

  it('is not opened where another version made it', async () => {
    const { plan } = await planOf(10);
    const later = { ...plan, identity: { ...plan.identity, algorithm: 'later' } };
    const open = openPlan(later, { store: memoryStore(), orders: new Map() });
    await expect(open).rejects.toMatchObject({ code: 'plan-unsupported' });
  });

  it('is the same plan for the same content, whatever snapshot holds it', () => {
    const request = requestOf(1);
    const elsewhere = { ...streamOf(10), dataset: 'other', snapshot: 'd'.repeat(64) };
    const [a, b] = [makePlan(request, [streamOf(10)]), makePlan(request, [elsewhere])];
    expect(planId(b.identity)).toBe(planId(a.identity));
    const other = makePlan(request, [streamOf(10, 'e')]);
    expect(planId(other.identity)).not.toBe(planId(a.identity));
  });
});
