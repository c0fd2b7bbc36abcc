import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { openPlan } from '../../src/plan/open-plan.ts';
import { writePacking } from '../../src/plan/packing.ts';
import { makePlan, planReply } from '../../src/plan/plan.ts';
import { packingPath } from '../../src/plan/stored.ts';
import { type Asked, memoryStore, requestOf, streamOf } from '../support/plans.ts';

describe('a packed plan', () => {
  it('has packs for items and the parts of their samples for rows', async () => {
    const store = memoryStore();
    const packing = { length: 32, window: 8 };
    const lengths = Array.from({ length: 100 }, (_, i) => 1 + ((i * 37) % 80));
    async function* documents() {
      yield { ordinals: [...lengths.keys()], positions: lengths };
    }
    const name = 'f'.repeat(64);
    const written = await writePacking(store, packingPath(name), {
      packing,
      documents: documents(),
    });
    const stream = { ...streamOf(100), packing: { ...written, name } };
    const made = makePlan(requestOf(1, { packing, global_batch: 4 }), [stream]);
    const plan = await openPlan(made, { store, orders: new Map() });
    const seen = lengths.map((n) => new Uint8Array(n));
    let packs = 0;
    for (let step = 0; step < plan.steps; step++) {
      const rows = await plan.samples({ epoch: 0, step, rank: 0, world: 1 });
      const { pack, offset, first, positions } = rows.segments!;
      packs += new Set(pack).size;
      rows.ordinals.forEach((ordinal, i) => {
        const before = i > 0 && pack[i] === pack[i - 1] ? offset[i - 1] + positions[i - 1] : 0;
        expect(offset[i]).toBe(before);
        expect(offset[i] + positions[i]).toBeLessThanOrEqual(32);
        for (let t = first[i]; t < first[i] + positions[i]; t++) seen[ordinal][t]++;
      });
    }
    expect(packs).toBe(written.packs);
    expect(seen.every((sample) => sample.every((times) => times === 1))).toBe(true);
    const reply = planReply(made);
    const positions = lengths.reduce((sum, n) => sum + n, 0);
    expect(reply.packing_efficiency).toBeCloseTo(positions / (written.packs * 32), 12);
    expect(reply.streams[0].items).toBe(written.packs);
  });
});

interface GoldenPlan {
  readonly request: Asked;
  readonly streams: { content_id: string; samples: number }[];
  readonly plan: string;
  readonly steps_per_epoch: number;
  readonly steps: {
    at: { epoch: number; step: number; rank: number; world: number };
    streams: number[];
    ordinals: number[];
    pad: number[];
  }[];
}

describe('golden plans', () => {
  const golden: GoldenPlan[] = JSON.parse(readFileSync('data/plan-golden.json', 'utf8'));
  it.each(golden)('$plan', async ({ request, streams, ...expected }) => {
    const parsed = requestOf(streams.length, request);
    const made = makePlan(
      parsed,
      streams.map(({ content_id, samples }) => ({ ...streamOf(samples), contentId: content_id })),
    );
    const plan = await openPlan(made, { store: memoryStore(), orders: new Map() });
    expect(plan.id).toBe(expected.plan);
    expect(plan.steps).toBe(expected.steps_per_epoch);
    for (const { at, ...rows } of expected.steps) {
      const got = await plan.samples(at);
      expect({ ...got, pad: [...got.pad] }).toEqual(rows);
    }
  });
});
