import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Targets } from '../../src/distribution/targets.ts';
import { createSparsifier } from '../../src/sparsify/table.ts';
import { threshold } from '../../src/sparsify/threshold.ts';
import { dense, entriesOf, lists, sparsify } from '../contracts/sparsifier.ts';
import { random } from '../support/dump.ts';
import { logSoftmax, logZ } from '../support/naive.ts';

const width = 600;
const tau = Math.fround(0.04);
const step = Math.fround(0.05);

/** A peaked head over a long tail, in no order of ids. */
const next = random(8);
const row = Array.from({ length: width }, () => Math.fround(-1.5 * Math.log(next() + 1e-3)));
const probs = logSoftmax(row).map(Math.exp);

const idOf = (seed: number) => createHash('sha256').update(`${seed}`).digest().subarray(0, 16);

const rules = { exact: threshold({ tau }), levels: threshold({ tau, step }) };

function drawn(seed: number, options: { rule?: keyof typeof rules; position?: number } = {}) {
  return rules[options.rule ?? 'exact'].sparsify(dense([row]), {
    labels: Int32Array.of(3),
    temperatures: [2],
    sampleId: idOf(seed),
    position: options.position ?? 0,
  });
}

const weightsOf = (targets: Targets, t = 0) => {
  const { ids, logprobs } = entriesOf(targets, t);
  return new Map(ids.map((id, i) => [id, Math.exp(logprobs[i])]));
};

describe('threshold', () => {
  it('keeps every p ≥ τ exactly, and draws below it at weight τ', () => {
    const weights = weightsOf(drawn(1));
    expect([...weights.keys()].filter((id) => probs[id] < tau).length).toBeGreaterThan(1);
    for (const [id, weight] of weights) {
      expect(weight).toBeCloseTo(probs[id] >= tau ? probs[id] : tau, 6);
    }
    const sure = probs.flatMap((p, id) => (p >= tau ? [id] : []));
    expect(sure.every((id) => weights.has(id))).toBe(true);
  });

  it('gives rank order, the label and log Z_T of the whole row', () => {
    for (let seed = 0; seed < 50; seed++) {
      const targets = drawn(seed, { rule: 'levels' });
      const { ids, logprobs } = entriesOf(targets, 0);
      for (let i = 1; i < ids.length; i++) {
        const [before, own] = [logprobs[i - 1], logprobs[i]];
        expect(before > own || (before === own && ids[i - 1] < ids[i])).toBe(true);
      }
      expect(targets.labelLogprob[0]).toBeCloseTo(Math.log(probs[3]), 5);
      expect(targets.logZ[0]).toBeCloseTo(logZ(row, 2), 5);
      expect(targets.rest).toHaveLength(0);
    }
  });

  /** Of one draw of each entry's weight. */
  const varianceOf = (p: number, rule: keyof typeof rules): number => {
    if (p < tau) return p * (tau - p);
    if (rule === 'exact') return 0;
    const level = Math.floor(Math.sqrt(p) / step);
    return (p - (level * step) ** 2) * (((level + 1) * step) ** 2 - p);
  };

  it.each(['exact', 'levels'] as const)(
    'is unbiased over seeds: %s weights',
    (rule) => {
      const seeds = 20_000;
      const sum = new Float64Array(width);
      for (let seed = 0; seed < seeds; seed++) {
        for (const [id, weight] of weightsOf(drawn(seed, { rule }))) sum[id] += weight;
      }
      // entries that are drawn ten times or more, in standard errors
      const scores = probs.flatMap((p, id) => {
        if ((p / tau) * seeds < 10) return [];
        const error = Math.sqrt(varianceOf(p, rule) / seeds);
        return [(sum[id] / seeds - p) / Math.max(error, 1e-7)];
      });
      expect(scores.length).toBeGreaterThan(width / 2);
      expect(Math.max(...scores.map(Math.abs))).toBeLessThan(5);
      const beyond = scores.filter((score) => Math.abs(score) > 2).length / scores.length;
      expect(beyond).toBeLessThan(0.08); // chance makes 4.6 %
      const drift = scores.reduce((a, b) => a + b, 0) / Math.sqrt(scores.length);
      expect(Math.abs(drift)).toBeLessThan(4);
    },
    60_000,
  );

  it('sums to 1 within a draw in every row, and never exceeds its entriesMax', () => {
    const sparsifier = threshold({ tau });
    const headMass = probs.reduce((sum, p) => sum + (p >= tau ? p : 0), 0);
    for (let seed = 0; seed < 200; seed++) {
      const weights = weightsOf(drawn(seed));
      const total = [...weights.values()].reduce((sum, weight) => sum + weight, 0);
      expect(Math.abs(total - 1)).toBeLessThan(tau + 1e-6);
      expect(weights.size).toBeLessThanOrEqual(sparsifier.entriesMax);
    }
    expect(headMass).toBeLessThan(1 - 2 * tau);
  });

  it('has a smaller variance than 50 random draws with counts', () => {
    const own = probs.reduce((sum, p) => sum + (p < tau ? p * (tau - p) : 0), 0);
    const draws = probs.reduce((sum, p) => sum + (p * (1 - p)) / 50, 0);
    let error = 0;
    const seeds = 500;
    for (let seed = 0; seed < seeds; seed++) {
      const weights = weightsOf(drawn(seed));
      error += probs.reduce((sum, p, id) => sum + ((weights.get(id) ?? 0) - p) ** 2, 0) / seeds;
    }
    const entries = [...weightsOf(drawn(0)).keys()].length;
    console.log(
      `threshold τ ${tau.toFixed(2)}: ${entries} entries, variance ${own.toExponential(2)} ` +
        `(measured ${error.toExponential(2)}); 50 draws: ${draws.toExponential(2)}`,
    );
    expect(error / own).toBeCloseTo(1, 1);
    expect(own).toBeLessThan(draws);
  });

  it('puts the head on levels of the step, τ included', () => {
    for (const [id, weight] of weightsOf(drawn(4, { rule: 'levels' }))) {
      if (probs[id] < tau) continue;
      const level = Math.sqrt(weight) / step;
      expect(Math.abs(level - Math.round(level))).toBeLessThan(1e-5);
      expect(Math.abs(Math.sqrt(probs[id]) / step - level)).toBeLessThan(1 + 1e-5);
    }
  });

  it('draws by sample and position alone: again the same, elsewhere another', () => {
    const ids = (targets: Targets) => entriesOf(targets, 0).ids.join();
    expect(ids(drawn(1))).toBe(ids(drawn(1)));
    expect(ids(drawn(1))).not.toBe(ids(drawn(2)));
    expect(ids(drawn(1))).not.toBe(ids(drawn(1, { position: 1 })));
    const both = threshold({ tau }).sparsify(dense([row, row]), {
      labels: Int32Array.of(-1, -1),
      temperatures: [],
      sampleId: idOf(1),
      position: 0,
    });
    expect(entriesOf(both, 1).ids.join()).toBe(ids(drawn(1, { position: 1 })));
  });

  it.each([
    ['one entry has it all', [5, -Infinity, -Infinity], [0]],
    ['none reaches τ', new Array(1000).fill(0), undefined],
    ['one id', [3], [0]],
  ])('reads a row where %s', (_, values, expected) => {
    const targets = sparsify(createSparsifier({ type: 'threshold', tau }), dense([values]));
    const { ids, logprobs } = entriesOf(targets, 0);
    if (expected === undefined) {
      expect(Math.abs(ids.length - 1 / tau)).toBeLessThanOrEqual(1);
      expect(new Set(ids).size).toBe(ids.length);
      expect(new Set(logprobs)).toEqual(new Set([Math.fround(Math.log(tau))]));
    } else expect(ids).toEqual(expected);
  });

  it('refuses top lists, which hold nothing to draw the tail from', () => {
    const given = lists([{ ids: [1], probs: [0.5] }]);
    expect(() => sparsify(threshold({ tau }), given)).toThrowError(
      expect.objectContaining({ code: 'config-invalid' }),
    );
  });
});
