/** Filters, packs, mixtures and proofs of order, over HTTP only. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { readBatch } from '../../src/client/batch.ts';
import { int32Of, unpackBits } from '../../src/formats/layout.ts';
import { ask, postPlan, serve } from '../fixtures.ts';
import { useServedStore } from '../support/served-store.ts';

const at = useServedStore();

interface Row {
  sample_id: string;
  tokens: number[];
  mask: boolean[];
  meta: Record<string, unknown>;
}

async function rows(): Promise<Row[]> {
  const found: Row[] = [];
  for (const offset of [0, 100]) {
    const path = `/v1/datasets/planes/snapshots/latest/rows?length=100&offset=${offset}`;
    const page = (await ask(at.url, path)).json() as unknown as { rows: Row[] };
    found.push(...page.rows);
  }
  return found;
}

const planOf = async (body: Record<string, unknown>) => {
  const answer = await postPlan(at.url, 'planes', body);
  return { status: answer.status, reply: answer.json() as never as Reply };
};

interface Reply {
  plan: string;
  code: string;
  steps_per_epoch: number;
  items_per_epoch: number;
  packing_efficiency: number | null;
  streams: { items: number; filter: { kept: number } | null; packing: { packs: number } | null }[];
}

const digestOf = async (plan: string, query = '') =>
  (await ask(at.url, `/v1/plans/${plan}/epochs/0/digest${query}`)).json() as never as {
    rows: number;
    digest: string;
    code: string;
  };

const sha = (ids: readonly string[]) =>
  createHash('sha256')
    .update(Buffer.from(ids.join(''), 'hex'))
    .digest('hex');

describe('a filter', () => {
  it('keeps the samples that its rules name, in the order of the plan', async () => {
    const all = await rows();
    const learned = ({ mask }: Row) => mask.filter(Boolean).length;
    const lengths = all.map(({ tokens }) => tokens.length).sort((a, b) => a - b);
    const min = lengths[Math.floor(lengths.length / 2)];
    const filter = { positions: { min }, learned: { max: lengths.at(-1)! - 1 } };
    const { reply, status } = await planOf({ filter, shuffle: { mode: 'none' } });
    const kept = all.filter((row) => row.tokens.length >= min && learned(row) < lengths.at(-1)!);
    expect(status).toBe(201);
    expect(reply.streams[0].filter!.kept).toBe(kept.length);
    expect(reply.items_per_epoch).toBe(kept.length);
    const digest = await digestOf(reply.plan);
    expect(digest).toMatchObject({
      rows: kept.length,
      digest: sha(kept.map(({ sample_id }) => sample_id)),
    });
    expect((await planOf({ filter, shuffle: { mode: 'none' } })).status).toBe(200);
  });

  it('keeps by a member of meta', async () => {
    const all = await rows();
    const [field, value] = Object.entries(all[3].meta)[0];
    const filter = { meta: { field, in: [value] } };
    const { reply } = await planOf({ filter });
    expect(reply.items_per_epoch).toBe(all.filter(({ meta }) => meta[field] === value).length);
    expect((await planOf({ filter: { meta: { field, in: ['nothing'] } } })).reply).toMatchObject({
      items_per_epoch: 0,
      steps_per_epoch: 0,
    });
  });
});

describe('packs', () => {
  it('are computed once, hold all positions and say how well they are filled', async () => {
    const all = await rows();
    const positions = all.reduce((sum, { tokens }) => sum + tokens.length, 0);
    const packing = { length: 64, window: 8 };
    const { reply } = await planOf({ packing });
    const { packs } = reply.streams[0].packing!;
    expect(reply.items_per_epoch).toBe(packs);
    expect(reply.packing_efficiency).toBeCloseTo(positions / (packs * 64), 12);
    const digest = await digestOf(reply.plan);
    expect(digest.rows).toBeGreaterThanOrEqual(all.length);
    const { reply: other } = await planOf({ packing: { length: 65, window: 8 } });
    expect(other.plan).not.toBe(reply.plan);
  });
});

describe('a mixture', () => {
  it('draws from several snapshots as it is told', async () => {
    const streams = [
      { dataset: 'planes', proportion: 3 },
      { dataset: 'planes', proportion: 1 },
    ];
    const { reply } = await planOf({ streams, epoch_size: 40, global_batch: 4 });
    expect(reply.streams.map((stream) => (stream as never as { drawn: number }).drawn)).toEqual([
      30, 10,
    ]);
    expect((await digestOf(reply.plan)).rows).toBe(40);
  });

  it.each([
    ['a share that cannot be met', { epoch_size: 5, filter: { positions: { min: 1e6 } } }],
    ['two shares at once', { streams: [{ dataset: 'planes', repeat: 1, choose: 2 }] }],
    ['a filter that keeps nothing by its form', { filter: { positions: { min: 2, max: 1 } } }],
    ['packs of no length', { packing: { length: 0 } }],
  ])('refuses %s', async (_, body) => {
    expect((await planOf(body)).reply).toMatchObject({ code: 'request-invalid' });
  });
});

describe('the proof of an order', () => {
  it('is the same however the steps are divided, and another for another order', async () => {
    const { reply } = await planOf({ seed: '11', global_batch: 8 });
    const whole = await digestOf(reply.plan);
    expect(whole.rows).toBe(101);
    const ids: string[] = [];
    for (let step = 0; step < reply.steps_per_epoch; step++) {
      for (let rank = 0; rank < 3; rank++) {
        const path = `/v1/plans/${reply.plan}/epochs/0/steps/${step}?rank=${rank}&world=3`;
        const { body } = await ask(at.url, path);
        const hex = Buffer.from(readBatch(body).columns.sample_id.buffers[0]).toString('hex');
        ids.push(...(hex.match(/.{32}/g) ?? []));
      }
    }
    expect(whole.digest).toBe(sha(ids));
    expect((await digestOf(reply.plan, '?from=1&to=2')).digest).toBe(sha(ids.slice(8, 16)));
    const ranked = await digestOf(reply.plan, '?from=1&to=2&rank=1&world=2');
    expect(ranked.digest).toBe(sha(ids.slice(12, 16)));
    const replica = await digestOf(reply.plan, '?from=1&to=2&rank=3&world=4&replicate=2');
    expect(replica.digest).toBe(ranked.digest);
    const { reply: other } = await planOf({ seed: '12', global_batch: 8 });
    expect((await digestOf(other.plan)).digest).not.toBe(whole.digest);
  });

  it.each([
    ['?from=3&to=2', 'step-out-of-range'],
    ['?to=99', 'step-out-of-range'],
    ['?rank=2&world=2', 'rank-out-of-range'],
    ['?world=3&replicate=2', 'rank-out-of-range'],
    ['?from=x', 'request-invalid'],
  ])('refuses %s', async (query, code) => {
    const { reply } = await planOf({ seed: '11', global_batch: 8 });
    expect(await digestOf(reply.plan, query)).toMatchObject({ code });
  });
});

describe('steps of packs', () => {
  it('hold every position of every sample once, with its token, mask and target', async () => {
    const all = await rows();
    const { reply } = await planOf({ packing: { length: 50, window: 8 }, global_batch: 4 });
    const seen = new Map(all.map(({ sample_id }) => [sample_id, new Set<number>()]));
    const byId = new Map(all.map((row) => [row.sample_id, row]));
    for (let step = 0; step < reply.steps_per_epoch; step++) {
      const { body } = await ask(at.url, `/v1/plans/${reply.plan}/epochs/0/steps/${step}`);
      const batch = readBatch(body, { step });
      expect(batch.metadata['logitcask.pack_length']).toBe('50');
      const targets = batch.targets();
      const ids = Buffer.from(batch.columns.sample_id.buffers[0]);
      const column = (name: string) => int32Of(batch.columns[name].buffers[0]);
      const [first, offset, pack] = ['first_position', 'offset', 'pack'].map(column);
      const starts = column('tokens');
      const tokens = int32Of(batch.columns.tokens.buffers[1]);
      const mask = unpackBits(batch.columns.mask.buffers[1], tokens.length);
      for (let row = 0; row < batch.rows; row++) {
        const id = ids.toString('hex', 16 * row, 16 * row + 16);
        const sample = byId.get(id)!;
        const n = starts[row + 1] - starts[row];
        expect(offset[row] + n).toBeLessThanOrEqual(50);
        expect(targets[row].offsets.length).toBe(n + 1);
        if (row > 0 && pack[row] === pack[row - 1]) {
          expect(offset[row]).toBe(offset[row - 1] + starts[row] - starts[row - 1]);
        }
        for (let t = 0; t < n; t++) {
          const at = first[row] + t;
          expect(seen.get(id)!.has(at)).toBe(false);
          seen.get(id)!.add(at);
          expect(tokens[starts[row] + t]).toBe(sample.tokens[at]);
          const seam = t === n - 1 && at < sample.tokens.length - 1;
          expect(mask[starts[row] + t] === 1).toBe(sample.mask[at] && !seam);
        }
      }
    }
    for (const { sample_id, tokens } of all) expect(seen.get(sample_id)!.size).toBe(tokens.length);
  });
});

describe('steps of a mixture', () => {
  it('say which stream each row comes from', async () => {
    const streams = [
      { dataset: 'planes', repeat: 2 },
      { dataset: 'planes', choose: 50 },
    ];
    const { reply } = await planOf({ streams, global_batch: 12 });
    const counts = [0, 0];
    for (let step = 0; step < reply.steps_per_epoch; step++) {
      const { body } = await ask(at.url, `/v1/plans/${reply.plan}/epochs/0/steps/${step}`);
      const { columns, rows: count } = readBatch(body, { step });
      const bytes = columns.stream.buffers[0];
      for (let row = 0; row < count; row++) counts[bytes[2 * row]]++;
    }
    expect(counts).toEqual([202, 50]);
  });
});

describe('the plans of a store', () => {
  it('are listed page by page, with what tells them apart', async () => {
    const own = await serve(at.made.store);
    try {
      const before = Date.now();
      const { plan } = (await postPlan(own.url, 'raw', { seed: '77', global_batch: 5 })).json();
      const listed: { plan: string; created_ms: number }[] = [];
      let cursor = '';
      for (let more = true; more; ) {
        const { plans, next } = (
          await ask(own.url, `/v1/plans?limit=1${cursor && `&cursor=${cursor}`}`)
        ).json() as unknown as { plans: typeof listed; next: string | null };
        expect(plans.length).toBeLessThanOrEqual(1);
        listed.push(...plans);
        more = next !== null;
        cursor = next ?? '';
      }
      const stored = (await at.made.store.list('plans')).filter((name) => name.endsWith('.json'));
      expect(listed.map((one) => `${one.plan}.json`)).toEqual(stored);
      const found = listed.find((one) => one.plan === plan);
      expect(found).toEqual({
        plan,
        streams: [{ dataset: 'raw', snapshot: at.made.raw.snapshot, samples: 101 }],
        global_batch: 5,
        seed: '77',
        shuffle: { mode: 'global' },
        steps_per_epoch: 21,
        items_per_epoch: 101,
        created_ms: expect.any(Number),
      });
      expect(found?.created_ms).toBeGreaterThanOrEqual(before);
      const again = (await postPlan(own.url, 'raw', { seed: '77', global_batch: 5 })).json();
      const reply = (await ask(own.url, `/v1/plans/${plan}`)).json();
      expect(again).toEqual(reply);
    } finally {
      await own.close();
    }
  });
});
