import { describe, expect, it } from 'vitest';
import type { TargetSet } from '../../schemas/manifest.ts';
import { addBias, biasOf, mergeBands, newBands } from '../../src/audit/bias.ts';
import type { Targets } from '../../src/distribution/targets.ts';
import { createCodec } from '../../src/encode/table.ts';
import { bytesOf } from '../../src/formats/layout.ts';
import { createSparsifier } from '../../src/sparsify/table.ts';
import { random } from '../support/dump.ts';
import { logSoftmax, ranked, sum } from '../support/naive.ts';
import { targetSet } from '../support/shards.ts';

const width = 200;
const tau = 0.05;
const positions = 40;

const setAt = (step: number): TargetSet => ({
  ...targetSet,
  kind: 'unbiased',
  sparsifier: { name: 'threshold', parameters: { tau }, entries_max: 21 },
  codec:
    step === 0 ? { name: 'raw', parameters: {} } : { name: 'plain', parameters: { step, tau } },
});

const next = random(77);
const rows = Array.from({ length: positions }, () =>
  logSoftmax(Array.from({ length: width }, () => -3 * Math.log(next() + 1e-9))),
);
/** The reference: the first 100 entries and what lies beyond. */
const exact = rows.map((row) => {
  const ids = ranked(row, 100);
  const rest = row.filter((_, id) => !ids.includes(id)).map(Math.exp);
  const logprobs = Float32Array.from(ids, (id) => row[id]);
  return { ids: Uint32Array.from(ids), logprobs, tail: sum(rest) };
});

/** Bands of what `sparsify` stores of all rows, as a codec of that step gives it back. */
function bandsOf(step: number, seed: number, drawAt: number | undefined) {
  const sparsifier = createSparsifier({ type: 'threshold', tau, step: drawAt });
  const sampleId = Uint8Array.from({ length: 16 }, (_, i) => (seed * (i + 3) * 37) % 251);
  const targets: Targets = sparsifier.sparsify(
    {
      form: 'dense',
      count: positions,
      width,
      type: 'f32',
      values: Float32Array.from(rows.flat()),
    },
    { labels: new Int32Array(positions).fill(-1), temperatures: [], sampleId, position: 0 },
  );
  const set = setAt(step);
  const codec = createCodec(set.codec.name, { kind: 'unbiased', width }, set.codec.parameters);
  const stored = codec.decode(codec.encode(targets).map(bytesOf), positions);
  const bands = newBands();
  for (const [position, row] of exact.entries()) addBias(bands, row, { stored, position, set });
  return bands;
}

const spread = (values: readonly number[]) =>
  Math.sqrt(sum(values.map((x) => x * x)) / values.length);

describe('bias', () => {
  const step = 0.02;
  const seeds = Array.from({ length: 150 }, (_, seed) => seed + 1);
  const honest = seeds.map((seed) => biasOf(bandsOf(step, seed, step), setAt(step)));

  it('of honest draws has z-scores around 0, of unit variance at most', () => {
    const bands = honest[0].map((_, band) => honest.map((rows) => rows[band]));
    expect(bands.length).toBeGreaterThan(6);
    for (const rows of bands) {
      const mean = sum(rows.map(({ z }) => z)) / rows.length;
      expect(Math.abs(mean)).toBeLessThan(4 / Math.sqrt(seeds.length));
      expect(spread(rows.map(({ z }) => z))).toBeLessThan(1.2);
      expect(spread(rows.map(({ z_spread }) => z_spread))).toBeLessThan(1.2);
      // rounding is independent; draws below τ exclude each other
      if (rows[0].p_min >= tau) expect(spread(rows.map(({ z }) => z))).toBeGreaterThan(0.8);
      else if (rows[0].p_max > 0) expect(spread(rows.map(({ z }) => z))).toBeGreaterThan(0.3);
    }
  });

  it('counts every reference entry once, and what lies beyond once a position', () => {
    const [beyond, ...bands] = honest[0];
    expect(beyond).toMatchObject({ p_min: 0, p_max: 0, entries: positions });
    expect(sum(bands.map(({ entries }) => entries))).toBe(positions * 100);
    for (const { p_min, p_max, entries } of bands) {
      const own = rows.flatMap((row) => ranked(row, 100).map((id) => Math.exp(row[id])));
      const inside = own.filter((p) => p >= p_min && p < p_max).length;
      expect(Math.abs(entries - inside)).toBeLessThanOrEqual(1); // an edge, in float32
    }
  });

  it('is told from honest draws where √p was rounded to the nearest level', () => {
    const [a, ...others] = seeds.slice(0, 8).map((seed) => bandsOf(step, seed, undefined));
    const merged = others.reduce((sum, bands) => mergeBands(sum, bands), a);
    const above = biasOf(merged, setAt(step)).filter(({ p_min }) => p_min >= tau);
    expect(Math.min(...above.map(({ z_spread }) => z_spread))).toBeLessThan(-5);
  });

  it('of exact weights above τ is nothing, and any other weight there is found', () => {
    const exactly = biasOf(bandsOf(0, 1, undefined), setAt(0));
    const rounded = biasOf(bandsOf(0, 1, step), setAt(0));
    const worst = (rows: typeof exactly) =>
      Math.max(...rows.map(({ z, z_spread }) => Math.max(Math.abs(z), Math.abs(z_spread))));
    expect(worst(exactly)).toBeLessThan(4);
    expect(worst(rounded)).toBeGreaterThan(100);
  });
});
