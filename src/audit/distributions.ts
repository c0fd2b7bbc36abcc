/**
 * The tally of the distributions themselves: rest, entropy, mass by K, and how they agree with the
 * tokens that came. What is cheap is taken at every learned position, what needs logarithms of all
 * entries at a sample of positions that sample ids decide: the same in any number of threads.
 */
import type { AuditFidelity, Calibration, Histogram } from '../../schemas/audit.ts';
import type { Manifest, TargetSet } from '../../schemas/manifest.ts';
import { rounded } from '../distribution/rounded.ts';
import { labelSpaceIn } from '../encode/table.ts';
import { createLook, entropyEdges, type Look, mergeSums, newSums, type Sums } from './look.ts';
import { summaryOf } from './sketch.ts';
import { type AuditSample, type AuditTargets, addSums, type TallyKind } from './tally.ts';
import { fittedTemperature } from './temperature-fit.ts';

/** Looked at closely: one learned position of 128, but so many where there are, and no more. */
const sampledShare = 128;
const sampledMin = 4096;
const sampledMax = 65_536;

/** 0, then powers of two: a float32's exponent is its bin. */
const restOctaves = 24;
const restEdges = [0, ...Array.from({ length: restOctaves + 1 }, (_, i) => 2 ** (i - restOctaves))];
const exponentOfOne = 127;

/** Of one target set; plain data. */
export interface SetDistributions {
  /** Learned positions with targets, by the bin of their rest; empty for unbiased ones. */
  readonly rest: number[];
  readonly sums: Sums;
}

/** In the manifest's order of target sets. */
export type DistributionsValue = readonly SetDistributions[];

export const distributions: TallyKind<DistributionsValue> = {
  begin(manifest) {
    const stride = strideOf(manifest);
    const sets = manifest.target_sets.map((set) => ({
      value: newDistributions(set),
      look: createLook(set, labelSpaceIn(set, manifest.label_space).size),
    }));
    return {
      add(sample) {
        for (const [i, { value, look }] of sets.entries()) {
          addSample(value, { sample, look, i, stride });
        }
      },
      value: () => sets.map(({ value }) => value),
    };
  },
  merge: (a, b) =>
    a.map((one, i) => ({
      rest: addSums(one.rest, b[i].rest),
      sums: mergeSums(one.sums, b[i].sums),
    })),
};

function newDistributions(set: TargetSet): SetDistributions {
  const rest = set.kind === 'scaled' ? new Array<number>(restOctaves + 1).fill(0) : [];
  return { rest, sums: newSums(set) };
}

/** Every stride-th position is looked at closely, from a place that the sample's id decides. */
export function strideOf({ totals }: Pick<Manifest, 'totals'>): number {
  const share = Math.floor(totals.learned / sampledShare);
  const wanted = Math.min(sampledMax, Math.max(sampledMin, share));
  return Math.max(1, Math.floor(totals.learned / wanted));
}

interface Adding {
  readonly sample: AuditSample;
  readonly look: Look;
  /** Of the target set. */
  readonly i: number;
  readonly stride: number;
}

function addSample(value: SetDistributions, { sample, look, i, stride }: Adding): void {
  const own = sample.sets[i];
  if (own.set.kind === 'independent') return; // scores that are no distribution
  addRest(value.rest, sample.mask, own);
  const { sampleId, labels, mask } = sample;
  const key = ((sampleId[0] << 24) | (sampleId[1] << 16) | (sampleId[2] << 8) | sampleId[3]) >>> 0;
  const { offsets } = own.targets;
  for (let t = key % stride; t < labels.length; t += stride) {
    if (mask[t] === 0 || offsets[t + 1] === offsets[t]) continue;
    look(value.sums, { own, t, next: labels[t] });
  }
}

/** The rest at every learned position that has a target. */
function addRest(bins: number[], mask: Uint8Array, { targets }: AuditTargets): void {
  const { offsets, rest } = targets;
  const bits = new Uint32Array(rest.buffer, rest.byteOffset, rest.length);
  const first = exponentOfOne - restOctaves - 1;
  for (let t = 0; t < bits.length; t++) {
    if (mask[t] === 0 || offsets[t + 1] === offsets[t]) continue;
    const bin = (bits[t] >>> 23) - first;
    bins[bin < 0 ? 0 : bin > restOctaves ? restOctaves : bin]++;
  }
}

/** The parts of a report on fidelity that need no reference. */
export type DistributionReport = Omit<
  AuditFidelity,
  'measured' | 'stated' | 'kl_all' | 'total_variation' | 'bias'
>;

/** One a target set, in the manifest's order. */
export function distributionReports(
  value: DistributionsValue,
  { target_sets, kind }: Pick<Manifest, 'target_sets' | 'kind'>,
): DistributionReport[] {
  return target_sets.map((set, i) => {
    const { rest, sums } = value[i];
    const positions = Math.max(1, sums.positions);
    return {
      target_set: set.name,
      kind: set.kind,
      rest: rest.length > 0 ? { edges: restEdges, counts: rest } : null,
      entropy: { edges: entropyEdges, counts: sums.entropies } satisfies Histogram,
      mass_by_k: sums.massByK.map(({ k, mass }) => ({ k, mass: rounded(mass / positions) })),
      calibration: kind === 'text' ? calibrationOf(sums) : null,
      temperature: set.temperature,
      temperature_exact: set.temperature_exact,
      log_z: set.log_z.map((temperature, j) => ({
        temperature,
        violations: sums.violations[j],
        gap: rounded(sums.gaps[j]),
      })),
    };
  });
}

/** Of texts: an image's hard label is no draw from what its teacher says. */
function calibrationOf(sums: Sums): Calibration | null {
  const { positions } = sums;
  const fitted = fittedTemperature(sums.fit);
  if (positions === 0) return null;
  return {
    positions,
    entropy: rounded(sums.entropy / positions),
    surprise: rounded(sums.surprise / positions),
    rest: rounded(sums.rest / positions),
    outside: rounded(sums.outside / positions),
    temperature_fitted: fitted === undefined ? null : rounded(fitted.temperature),
    temperature_error: fitted === undefined ? null : rounded(fitted.error),
    label_gap: summaryOf(sums.labelGap),
    top1: rounded(sums.top1 / positions),
  };
}
