import { describe, expect, it } from 'vitest';
import type { AuditFidelity, AuditReport } from '../../schemas/audit.ts';
import type { Manifest } from '../../schemas/manifest.ts';
import { findingsOf } from '../../src/audit/findings.ts';

const summary = (mean: number) => ({ mean, p99: mean, max: mean });
const fidelity = {
  positions: 500,
  kl: summary(1e-4),
  kl_spread: summary(1e-4),
  kl_predicted: 1e-4,
  squared_error: null,
  mass: 0.9,
};
const goodSet: AuditFidelity = {
  target_set: 'teacher',
  kind: 'scaled',
  measured: fidelity,
  stated: fidelity,
  kl_all: summary(0.3),
  total_variation: summary(0.01),
  bias: null,
  rest: { edges: [0, 1], counts: [500] },
  entropy: { edges: [0, 1], counts: [500] },
  mass_by_k: [
    { k: 1, mass: 0.4 },
    { k: 64, mass: 0.9 },
  ],
  calibration: {
    positions: 500,
    entropy: 3,
    surprise: 3.5,
    rest: 0.1,
    outside: 0.12,
    temperature_fitted: 1.02,
    temperature_error: 0.02,
    label_gap: summary(0.01),
    top1: 0.4,
  },
  temperature: 1,
  temperature_exact: true,
  log_z: [{ temperature: 2, violations: 0, gap: 0 }],
};

const nothing = { total: 0, rows: [] };
const shifts = { positions: 500, before: -9, at: -3, after: -8 };
const goodReport = {
  integrity: { problems: nothing, orphans: nothing, quarantined: nothing as unknown, images: null },
  alignment: [{ target_set: 'teacher', ...shifts, best: 0, shards: nothing, sources: nothing }],
  fidelity: [goodSet],
  coverage: {
    samples: 5000,
    duplicates: { samples: 0, positions: 0 },
    mask_faults: { last: 0, without_target: 0 },
  },
};
const manifest = { files: [], label_space: { size: 8192, tokenizer: null } };

type Changes = { [K in keyof typeof goodReport]?: unknown };

const found = (changes: Changes, more: object = {}) =>
  findingsOf(
    { ...goodReport, ...changes } as unknown as AuditReport,
    { ...manifest, ...more } as unknown as Manifest,
  );
const codes = (changes: Changes, more?: object) =>
  found(changes, more).map(({ code, severity }) => `${severity} ${code}`);

const withSet = (set: Partial<AuditFidelity>) => ({ fidelity: [{ ...goodSet, ...set }] });
const withCalibration = (change: Partial<NonNullable<AuditFidelity['calibration']>>) =>
  withSet({ calibration: { ...goodSet.calibration, ...change } as AuditFidelity['calibration'] });
const generated = (sampling: object) => ({
  responses: { sampling: { temperature: 1, top_p: 1, ...sampling } },
});

describe('findings', () => {
  it('of a good report are none, and of an empty one', () => {
    expect(codes({})).toEqual([]);
    expect(codes({ alignment: [], fidelity: [] })).toEqual([]);
    const early = withSet({ measured: null, stated: null, kl_all: null, calibration: null });
    expect(codes(early)).toEqual([]);
  });

  it('name damaged and missing files, wrong manifests, and orphans; faults first', () => {
    const problem = (code: string, file: string) => ({ code, file, message: 'it is so' });
    const rows = [
      problem('shard-damaged', 'a'),
      problem('store-not-found', 'b'),
      problem('manifest-invalid', 'manifest.json'),
    ];
    const orphans = { total: 3, rows: [{ path: 'old.arrow', bytes: 1 }] };
    const integrity = {
      problems: { total: 3, rows },
      orphans,
      quarantined: { total: 1, rows: ['a'] },
      images: null,
    };
    const coverage = { ...goodReport.coverage, duplicates: { samples: 500, positions: 1 } };
    expect(codes({ integrity, coverage })).toEqual([
      'fault file-damaged',
      'fault file-missing',
      'fault manifest-wrong',
      'fault duplicates',
      'warning orphan-files',
    ]);
  });

  it('name one shard that is shifted, though the others are not', () => {
    const row = { name: 'b.arrow', positions: 100, before: -3, at: -9, after: -10 };
    const few = { ...row, name: 'c.arrow', positions: 3 };
    const alignment = [{ ...goodReport.alignment[0], shards: { total: 2, rows: [row, few] } }];
    const [one, ...others] = found({ alignment });
    expect(one).toMatchObject({ code: 'misaligned', severity: 'fault', section: 'alignment' });
    expect(one.message).toContain('in b.arrow the distributions fit shift -1');
    expect(others).toEqual([]);
  });

  it('tell tokens that the teacher wrote itself from foreign ones', () => {
    const off = withCalibration({ temperature_fitted: 1.2, temperature_error: 0.02 });
    expect(codes(off)).toEqual([]);
    expect(codes(off, generated({}))).toEqual(['fault temperature-wrong']);
    const unsure = withCalibration({ temperature_fitted: 1.2, temperature_error: 0.05 });
    expect(codes(unsure, generated({}))).toEqual([]);
    const far = withCalibration({ temperature_fitted: 0.6, temperature_error: 0.01 });
    expect(codes(far)).toEqual(['fault temperature-wrong']);
    const near = withCalibration({ temperature_fitted: 0.72, temperature_error: 0.01 });
    expect(codes(near)).toEqual(['warning temperature-wrong']);
  });

  it('judge no distribution by tokens that were chosen another way', () => {
    const sharp = withCalibration({ temperature_fitted: 0.3, temperature_error: 0.01, top1: 0.9 });
    expect(codes(sharp)).toEqual(['fault temperature-wrong']);
    for (const sampling of [{ temperature: 0 }, { temperature: 0.7 }, { top_p: 0.9 }]) {
      expect(codes(sharp, generated(sampling))).toEqual([]);
    }
  });

  it('name a tail that is missing, by draws as well', () => {
    const cut = { rest: 0.0001, outside: 0.1 };
    expect(codes(withCalibration(cut))).toEqual(['fault tail-renormalised']);
    const calibration = { ...goodSet.calibration, ...cut } as AuditFidelity['calibration'];
    const drawn = { kind: 'unbiased' as const, measured: null, stated: null, mass_by_k: [] };
    expect(codes(withSet({ ...drawn, calibration }))).toEqual(['fault sampling-biased']);
    const few = withCalibration({ ...cut, positions: 20 });
    expect(codes(few)).toEqual([]);
    expect(codes(withCalibration({ rest: 0.0001, outside: 0.0018 }))).toEqual([]);
  });

  it('name what the reference shows', () => {
    const low = { ...fidelity, kl: summary(0.01) };
    expect(codes(withSet({ measured: low }))).toEqual([
      'fault fidelity-worse-than-stated',
      'fault fidelity-low',
    ]);
    expect(codes(withSet({ measured: low, stated: low }))).toEqual(['fault fidelity-low']);
    expect(codes(withSet({ kl_all: summary(1.5) }))).toEqual(['fault mass-low']);
    const band = { p_min: 0, p_max: 0.01, entries: 9, error: 1, z: 1, z_spread: 1 };
    expect(codes(withSet({ bias: [band, { ...band, z: -4.9 }] }))).toEqual([]);
    expect(codes(withSet({ bias: [band, { ...band, z: -5.1 }] }))).toEqual([
      'fault sampling-biased',
    ]);
    expect(codes(withSet({ bias: [{ ...band, z_spread: -8 }] }))).toEqual([
      'fault sampling-biased',
    ]);
  });

  it('name impossible log Z, and label log-probs that contradict their entries', () => {
    const log_z = [{ temperature: 2, violations: 40, gap: 0.4 }];
    expect(codes(withSet({ log_z }))).toEqual(['fault log-z-wrong']);
    expect(codes(withCalibration({ label_gap: summary(0.3) }))).toEqual(['fault label-disagrees']);
  });

  it('name repeated samples by their share, and masks that no student should follow', () => {
    const coverage = (samples: number, faults = { last: 0, without_target: 0 }) => ({
      coverage: {
        ...goodReport.coverage,
        duplicates: { samples, positions: samples },
        mask_faults: faults,
      },
    });
    expect(codes(coverage(5))).toEqual([]);
    expect(codes(coverage(6))).toEqual(['warning duplicates']);
    expect(codes(coverage(51))).toEqual(['fault duplicates']);
    expect(codes(coverage(0, { last: 2, without_target: 1 }))).toEqual([
      'fault mask-at-last',
      'warning mask-without-target',
    ]);
  });

  it('name a tokenizer file that is not that of the ids', () => {
    const file = { role: 'tokenizer', name: 't.json', sha256: 'a'.repeat(64) };
    const space = (tokenizer: string | null) => ({
      files: [file],
      label_space: { size: 8192, tokenizer },
    });
    expect(codes({}, space('a'.repeat(64)))).toEqual([]);
    expect(codes({}, space(null))).toEqual([]);
    expect(codes({}, space('b'.repeat(64)))).toEqual(['fault tokenizer-mismatch']);
  });
});
