import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fidelityReport } from '../../schemas/audit.ts';
import type { Manifest, TargetSet } from '../../schemas/manifest.ts';
import { distributionReports, distributions, strideOf } from '../../src/audit/distributions.ts';
import type { AuditSample } from '../../src/audit/tally.ts';
import type { DecodedTargets } from '../../src/distribution/targets.ts';
import { createCodec } from '../../src/encode/table.ts';
import { bytesOf } from '../../src/formats/layout.ts';
import { createSparsifier, type SparsifierOptions } from '../../src/sparsify/table.ts';
import { random } from '../support/dump.ts';
import { logSoftmax, logZ, ranked, sum } from '../support/naive.ts';
import { targetSet } from '../support/shards.ts';

const width = 300;

interface Case {
  readonly rows: number[][];
  readonly tokens: Int32Array;
}

/** Rows of a flat-tailed teacher, and tokens drawn from them at a temperature. */
function drawn(positions: number, seed: number, temperature = 1): Case {
  const next = random(seed);
  const rows: number[][] = [];
  const tokens = new Int32Array(positions);
  for (let t = 0; t < positions; t++) {
    const row = Array.from({ length: width }, () => -2 * Math.log(next() + 1e-9));
    rows.push(logSoftmax(row));
    if (t + 1 === positions) break;
    const probs = logSoftmax(row.map((x) => x / temperature)).map(Math.exp);
    let left = next();
    const token = probs.findIndex((p) => {
      left -= p;
      return left < 0;
    });
    tokens[t + 1] = Math.max(0, token);
  }
  return { rows, tokens };
}

const setOf = (options: SparsifierOptions, log_z: number[] = []): TargetSet => {
  const { name, kind, parameters, entriesMax } = createSparsifier(options);
  return {
    ...targetSet,
    kind,
    log_z,
    sparsifier: { name, parameters: { ...parameters }, entries_max: entriesMax },
    codec: { name: 'raw', parameters: {} },
  };
};

/** The samples of a case, cut to `length`, as the pass shows them. */
function samplesOf({ rows, tokens }: Case, options: SparsifierOptions, log_z: number[] = []) {
  const set = setOf(options, log_z);
  const sparsifier = createSparsifier(options);
  const codec = createCodec('raw', { kind: set.kind, width });
  const sample = (from: number, to: number): AuditSample => {
    const values = Float32Array.from(rows.slice(from, to).flat());
    const own = tokens.subarray(from, to);
    const sampleId = Uint8Array.from({ length: 16 }, (_, i) => (from * 31 + i * 7) % 256);
    const targets = sparsifier.sparsify(
      { form: 'dense', count: to - from, width, type: 'f32', values },
      {
        labels: Int32Array.from(own, (_, t) => own[t + 1] ?? -1),
        temperatures: log_z,
        sampleId,
        position: 0,
      },
    );
    const cells = codec.encode(targets).map(bytesOf);
    const decoded: DecodedTargets = codec.decode(cells, to - from);
    const { labelLogprob, logZ: stored } = targets;
    const mask = new Uint8Array(to - from).fill(1, 0, to - from - 1);
    const sets = [{ set, targets: decoded, labelLogprob, logZ: stored, bytes: 0 }];
    return {
      tokens: own,
      labels: own.subarray(1),
      mask,
      meta: '{}',
      sampleId,
      reference: [],
      sets,
    };
  };
  return { set, sample };
}

function manifestOf(set: TargetSet, learned: number): Manifest {
  const totals = { samples: 1, positions: learned + 1, learned, bytes: 0 };
  const labelSpace = { kind: 'vocabulary', size: width, tokenizer: null };
  return {
    kind: 'text',
    target_sets: [set],
    totals,
    label_space: labelSpace,
  } as unknown as Manifest;
}

function reported(given: Case, options: SparsifierOptions, log_z: number[] = []) {
  const { set, sample } = samplesOf(given, options, log_z);
  const manifest = manifestOf(set, given.rows.length - 1);
  const tally = distributions.begin(manifest);
  tally.add(sample(0, given.rows.length));
  return distributionReports(tally.value(), manifest)[0];
}

describe('values that cannot be', () => {
  it('give finite gaps, which a report can hold', () => {
    const given = drawn(24, 5);
    const { set, sample } = samplesOf(given, { type: 'top-k', k: width }, [2]);
    const manifest = manifestOf(set, 23);
    for (const value of [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]) {
      const whole = sample(0, 24);
      const [own] = whole.sets;
      own.labelLogprob?.fill(value);
      own.logZ.fill(value);
      const tally = distributions.begin(manifest);
      tally.add(whole);
      const [report] = distributionReports(tally.value(), manifest);
      expect(fidelityReport.shape.calibration.parse(report.calibration)?.label_gap?.max).toBe(1e6);
      expect(report.log_z).toEqual([{ temperature: 2, violations: 23, gap: 1e6 }]);
    }
  });
});

describe('distributions', () => {
  it('equal what whole rows give, where all entries are stored', () => {
    fc.assert(
      fc.property(fc.integer({ min: 20, max: 60 }), fc.nat(), (positions, seed) => {
        const given = drawn(positions, seed);
        const { calibration, entropy, mass_by_k, rest } = reported(given, {
          type: 'top-k',
          k: width,
        });
        const rows = given.rows.slice(0, -1);
        const entropies = rows.map((row) => -sum(row.map((x) => Math.exp(x) * x)));
        const n = positions - 1;
        expect(calibration?.positions).toBe(n);
        expect(calibration?.entropy).toBeCloseTo(sum(entropies) / n, 3);
        const own = rows.map((row, t) => row[given.tokens[t + 1]]);
        expect(calibration?.surprise).toBeCloseTo(-sum(own) / n, 3);
        expect(calibration?.outside).toBe(0);
        const hits = rows.filter((row, t) => ranked(row, 1)[0] === given.tokens[t + 1]).length;
        expect(calibration?.top1).toBeCloseTo(hits / n, 5);
        for (const { k, mass } of mass_by_k) {
          const kept = rows.map((row) => sum(ranked(row, k).map((id) => Math.exp(row[id]))));
          expect(mass).toBeCloseTo(sum(kept) / n, 4);
        }
        expect(sum(rest?.counts ?? [])).toBe(n);
        entropy.counts.forEach((count, bin) => {
          const [low, high] = [entropy.edges[bin], entropy.edges[bin + 1]];
          expect(count).toBe(entropies.filter((x) => x >= low && x < high).length);
        });
      }),
      { numRuns: 8 },
    );
  });

  it('have the rest and the tokens outside it alike, where tokens are the teacher’s', () => {
    const given = drawn(1500, 5);
    for (const options of [
      { type: 'top-k', k: 8 },
      { type: 'threshold', tau: 0.05 },
    ] as const) {
      const { calibration } = reported(given, options);
      const { rest, outside, entropy, surprise } = calibration as never as Record<string, number>;
      expect(rest).toBeGreaterThan(0.05);
      expect(Math.abs(rest - outside)).toBeLessThan(4 / Math.sqrt(1500));
      expect(Math.abs(entropy - surprise)).toBeLessThan(0.2);
    }
  });

  it.each([0.7, 1, 2])('find the temperature %d that tokens were drawn at', (T) => {
    const given = drawn(1500, 9, T);
    for (const options of [
      { type: 'top-k', k: 32 },
      { type: 'threshold', tau: 0.02 },
    ] as const) {
      const { temperature_fitted: fitted, temperature_error: error } = reported(given, options)
        .calibration as never as Record<string, number>;
      expect(error / fitted).toBeLessThan(0.1);
      expect(Math.abs(fitted - T)).toBeLessThan(4 * error);
    }
  });

  it('check log Z against what the entries allow', () => {
    const given = drawn(200, 3);
    const { set, sample } = samplesOf(given, { type: 'top-k', k: 8 }, [0.5, 2]);
    const shown = sample(0, 200);
    const [own] = shown.sets;
    expect(own.logZ[1]).toBeCloseTo(logZ(given.rows[0], 2), 4);
    const check = (logZs: Float32Array) => {
      const manifest = manifestOf(set, 199);
      const tally = distributions.begin(manifest);
      tally.add({ ...shown, sets: [{ ...own, logZ: logZs }] });
      return distributionReports(tally.value(), manifest)[0].log_z;
    };
    expect(check(own.logZ).map(({ violations }) => violations)).toEqual([0, 0]);
    const low = check(own.logZ.map((z) => z - 3));
    const high = check(own.logZ.map((z) => z + 3));
    expect([...low, ...high].map(({ violations }) => violations)).toEqual([199, 199, 199, 199]);
    expect(low[0].gap).toBeLessThanOrEqual(3);
  });

  it('leave out masked positions, the last one, and those without a target', () => {
    const given = drawn(100, 1);
    const { set, sample } = samplesOf(given, { type: 'top-k', k: 4 });
    const manifest = manifestOf(set, 99);
    const shown = sample(0, 100);
    const tally = distributions.begin(manifest);
    const mask = Uint8Array.from({ length: 100 }, (_, t) => (t >= 40 ? 1 : 0));
    tally.add({ ...shown, mask });
    const [{ calibration, rest }] = distributionReports(tally.value(), manifest);
    expect(calibration?.positions).toBe(59);
    expect(sum(rest?.counts ?? [])).toBe(60);
  });

  it('are the same however samples are spread over shards', () => {
    const given = drawn(600, 2);
    const { set, sample } = samplesOf(given, { type: 'top-k', k: 8 });
    const manifest = manifestOf(set, 4096 * 5); // one position of five is looked at
    const parts = [0, 100, 200, 300, 400, 500].map((from) => sample(from, from + 100));
    const tallied = (own: readonly AuditSample[]) => {
      const tally = distributions.begin(manifest);
      own.forEach(tally.add);
      return tally.value();
    };
    const whole = distributionReports(tallied(parts), manifest);
    for (const cut of [1, 3, 5]) {
      const merged = distributions.merge(tallied(parts.slice(0, cut)), tallied(parts.slice(cut)));
      expect(distributionReports(structuredClone(merged), manifest)).toEqual(whole);
    }
    expect(whole[0].calibration?.positions).toBeGreaterThan(100);
    expect(whole[0].calibration?.positions).toBeLessThan(140);
  });

  it('look at all positions of small snapshots, and at bounded many of large ones', () => {
    const looks = (learned: number) => learned / strideOf({ totals: { learned } as never });
    expect(looks(4096)).toBe(4096);
    expect(looks(10_000)).toBe(5000);
    expect(looks(1e6)).toBeGreaterThan(7500);
    expect(looks(1e9)).toBeLessThan(300_000);
  });
});
