import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { AuditSize, Saving } from '../../schemas/audit.ts';
import { spreadOrdinals } from '../../src/audit/savings.ts';
import { auditSize, measureSize } from '../../src/audit/size.ts';
import { build } from '../../src/build.ts';
import type { Targets } from '../../src/distribution/targets.ts';
import { openSnapshot } from '../../src/shard/open-snapshot.ts';
import { readTargets } from '../../src/shard/read-targets.ts';
import { redraw } from '../../src/sparsify/redraw.ts';
import { openStore } from '../../src/store/table.ts';
import { configOf, random, writeDump } from '../support/dump.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-savings-'));
afterAll(() => rmSync(folder, { recursive: true }));
const { source } = writeDump(folder, { positions: 1600, vocabulary: 300, sampleLength: 64 });

/** Settings of a build from the flags that a saving names. */
function settingsOf(flags: string): Record<string, unknown> {
  const given = Object.fromEntries([...flags.matchAll(/--(\S+) (\S+)/g)].map(([, k, v]) => [k, v]));
  const { step, compression, ...numbers } = given;
  const type = 'tau' in numbers ? 'threshold' : 'p' in numbers ? 'top-p' : 'top-k';
  const values = Object.fromEntries(Object.entries(numbers).map(([k, v]) => [k, Number(v)]));
  const named = step === 'fine' || step === 'standard';
  const codec = { type: 'planes', step: named ? step : Number(step), compression };
  return { sparsifier: { type, ...values }, codec };
}

async function built(dataset: string, settings: Record<string, unknown>) {
  const store = join(folder, 'store');
  const reference = { positions: 1600, entries: 300 };
  const config = configOf({ store, dataset, source, reference, ...settings });
  const { manifest } = await build(config, { dataFolder: 'data' });
  const opened = await openStore(store);
  const place = { dataset, snapshot: 'latest' };
  const size = await measureSize(opened, place);
  const audited = await auditSize(opened, place);
  await opened.close();
  return { manifest, size, audited };
}

const width = 300;

/** What is stored of each position that is to be learned, its rest spread evenly over the others. */
async function distributions(dataset: string): Promise<number[][]> {
  const store = await openStore(join(folder, 'store'));
  const reader = await openSnapshot(store, { dataset, snapshot: 'latest' });
  const found: number[][] = [];
  for (let ordinal = 0; ordinal < 25; ordinal++) {
    const { targets } = await readTargets(reader, reader.manifest.target_sets[0], ordinal);
    for (let t = 0; t < targets.count; t++) {
      const [from, to] = [targets.offsets[t], targets.offsets[t + 1]];
      const p = new Array<number>(width).fill(targets.rest[t] / (width - (to - from)));
      for (let i = from; i < to; i++) p[targets.ids[i]] = targets.probs[i];
      if (to > from) found.push(p);
    }
  }
  await reader.close();
  await store.close();
  return found;
}

const klOf = (p: readonly number[], q: readonly number[]) =>
  p.reduce((sum, own, id) => sum + own * Math.log(own / q[id]), 0);
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

const find = ({ savings }: AuditSize, flags: string) =>
  savings.rows.find((row) => row.flags === flags) as Saving;

describe('savings of scaled targets', () => {
  it('are those of a build with their flags', async () => {
    const { audited, size, manifest } = await built('fine', settingsOf('--k 64 --step fine'));
    const rounding = manifest.target_sets[0].fidelity?.kl?.mean ?? 0;
    expect(audited.savings.sampled_positions).toBe(1600);
    const wanted = [
      '--k 32 --step standard',
      '--k 16 --step fine --compression lz4',
      '--p 0.9 --floor 1 --cap 64 --step fine',
      '--k 64 --step standard',
      '--k 64 --step fine --compression lz4',
    ];
    for (const [i, flags] of wanted.entries()) {
      const row = find(audited, flags);
      const real = await built(`scaled${i}`, settingsOf(flags));
      const others = await distributions(`scaled${i}`);
      expect(row.bytes_per_position / real.size.targets, flags).toBeCloseTo(1, 1.5);
      const saved = 1600 * (size.targets - real.size.targets);
      expect(Math.abs(row.bytes_saved - saved), flags).toBeLessThan(0.02 * 1600 * size.targets);
      const kl = mean((await distributions('fine')).map((p, t) => klOf(p, others[t])));
      // what is stored has been rounded already, which a build's own targets have not
      expect(Math.abs((row.kl ?? 0) - kl), flags).toBeLessThan(2 * rounding);
      expect(row).toMatchObject({ target_set: 'teacher', kind: 'scaled', variance: null });
    }
    const lz4 = find(audited, wanted[4]);
    expect(lz4.kl).toBe(0);
    expect(lz4.bytes_saved).toBeLessThan(0);
  });

  it('try nothing finer or longer than what is stored, and never what it is already', async () => {
    const { audited } = await built('coarse', settingsOf('--k 32 --step standard'));
    const flags = audited.savings.rows.map((row) => row.flags);
    expect(new Set(flags).size).toBe(flags.length);
    expect(flags).not.toContain('--k 32 --step standard');
    expect(flags.join()).not.toMatch(/fine|--k (32 --step standard(,|$)|64|128)|cap 128/);
    expect(flags).toContain('--k 16 --step standard');
  });

  it('of codec raw are measured as frames at every step', async () => {
    const raw = { sparsifier: { type: 'top-k', k: 32 }, codec: { type: 'raw' } };
    const { audited } = await built('raw', raw);
    const fine = find(audited, '--k 32 --step fine');
    const real = await built('frames', settingsOf('--k 32 --step fine'));
    expect(fine.bytes_per_position).toBeCloseTo(real.audited.target_bytes_per_position, 0);
    expect(fine.bytes_saved).toBeGreaterThan(0);
  });

  it('of Parquet columns count from the bytes of their pages', async () => {
    const settings = { sparsifier: { type: 'top-k', k: 32 }, format: 'parquet' };
    const { audited } = await built('parquet', { ...settings, codec: { type: 'plain' } });
    const row = find(audited, '--k 16 --step fine');
    const now = row.bytes_saved / 1600 + row.bytes_per_position;
    expect(now).toBeCloseTo(audited.target_bytes_per_position, 2);
  });
});

describe('savings of unbiased targets', () => {
  it('draw the weights anew, and are those of a build with their flags', async () => {
    const { audited, manifest } = await built('drawn', settingsOf('--tau 0.01 --step fine'));
    for (const [i, flags] of [
      '--tau 0.05 --step standard',
      '--tau 0.1 --step fine',
      '--tau 0.01 --step standard',
      '--tau 0.01 --step fine --compression lz4',
    ].entries()) {
      const row = find(audited, flags);
      const real = await built(`drawn${i}`, settingsOf(flags));
      expect(row.bytes_per_position / real.size.targets, flags).toBeCloseTo(1, 1.5);
      // independent draws: variances add
      const own = manifest.target_sets[0].fidelity?.squared_error?.mean ?? 0;
      const theirs = real.manifest.target_sets[0].fidelity?.squared_error?.mean ?? 0;
      expect((own + (row.variance ?? 0)) / theirs, flags).toBeCloseTo(1, 0.8);
      expect(row.kl).toBe(null);
    }
    const taus = audited.savings.rows.map(({ flags }) => /--tau (\S+)/.exec(flags)?.[1]);
    expect(new Set(taus)).toEqual(new Set(['0.01', '0.02', '0.05', '0.1']));
  });

  it('are unbiased: the mean of many draws is the weight, whatever it was', () => {
    const weights = [0.4, 0.21, 0.1, 0.1, 0.05, 0.05, 0.05, 0.02, 0.02];
    const exact: Targets = {
      kind: 'unbiased',
      count: 1,
      offsets: Uint32Array.of(0, weights.length),
      ids: Uint32Array.from(weights, (_, i) => 3 * i),
      logprobs: Float32Array.from(weights, Math.log),
      rest: new Float32Array(1),
      labelLogprob: new Float32Array(0),
      logZ: new Float32Array(0),
    };
    const next = random(3);
    const draws = 20_000;
    const sums = weights.map(() => 0);
    for (let n = 0; n < draws; n++) {
      const id = Uint8Array.from({ length: 16 }, () => 256 * next());
      const { ids, logprobs, offsets } = redraw(exact, 0.2, id);
      expect(offsets[1]).toBe(ids.length);
      ids.forEach((own, i) => {
        sums[own / 3] += Math.exp(logprobs[i]);
      });
    }
    weights.forEach((w, i) => {
      const error = Math.sqrt((w * Math.max(0.2 - w, 1e-9)) / draws);
      expect(Math.abs(sums[i] / draws - w), `weight ${w}`).toBeLessThan(4.5 * error + 1e-6);
    });
  });
});

it('measures samples from all of a snapshot, and all of a small one', () => {
  expect(spreadOrdinals({ samples: 3, positions: 90 })).toEqual([0, 1, 2]);
  const many = spreadOrdinals({ samples: 1_000_000, positions: 512_000_000 });
  expect(many).toHaveLength(8);
  expect(many[0]).toBe(62_500);
  expect(many.at(-1)).toBe(937_500);
  expect(spreadOrdinals({ samples: 50, positions: 5_000_000 })).toHaveLength(4);
  expect(spreadOrdinals({ samples: 0, positions: 0 })).toEqual([]);
});
