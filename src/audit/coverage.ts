/** What a snapshot covers: samples and positions by source, lengths, tokens, masks, and waste. */
import { type AuditCoverage, auditRowsMax } from '../../schemas/audit.ts';
import type { Manifest } from '../../schemas/manifest.ts';
import { entropyOf } from '../distribution/entropy.ts';
import { labelSpaceIn } from '../encode/table.ts';
import type { Duplicates } from './duplicates.ts';
import { type EveryNth, everyNth } from './every-nth.ts';
import { binOf, lengthBins, lengthHistogram } from './lengths.ts';
import { createNamedSums, linesOf, mergeNamedSums, type NamedSums } from './named-sums.ts';
import { sourceReader } from './source-of.ts';
import { type AuditSample, type AuditTargets, addSums, type TallyKind } from './tally.ts';
import { createTokenCounter, mergeTokenCounts, mostOf, type TokenCounts } from './token-counts.ts';

/** Entropies in nats below which a position carries little. */
const littleEntropies = [0.01, 0.1, 0.5, 1] as const;
const mostTokens = 20;
/** An entropy is a sum over all entries. */
const everyMax = 32;

export interface CoverageValue {
  /** Samples, positions, learned positions. */
  readonly sums: readonly number[];
  readonly sources: NamedSums;
  readonly lengths: readonly number[];
  readonly tokens: TokenCounts;
  /** Samples with mask faults: at the last position, at one without a target. */
  readonly faults: readonly number[];
  /** Positions, and bytes, between the entropies; of large snapshots those of every n-th. */
  readonly little: readonly (readonly number[])[];
}

export const coverage: TallyKind<CoverageValue> = {
  begin({ label_space, target_sets, totals }) {
    const sourceOf = sourceReader();
    const sums = [0, 0, 0];
    const sources = createNamedSums(sums.length);
    const lengths = new Array<number>(lengthBins).fill(0);
    const tokens = createTokenCounter();
    const faults = [0, 0];
    const bins = littleEntropies.map(() => [0, 0]);
    const widths = target_sets.map((set) => labelSpaceIn(set, label_space).size);
    const little = { nth: everyNth({ totals }, everyMax), widths, bins };
    return {
      add(sample) {
        const { mask, sets, labels } = sample;
        const n = mask.length;
        let learned = 0;
        for (let t = 0; t < n; t++) learned += mask[t];
        const own = [1, n, learned];
        for (let k = 0; k < own.length; k++) sums[k] += own[k];
        sources.add(sourceOf(sample.meta), own);
        lengths[binOf(n)]++;
        tokens.add(sample.tokens.length > 0 ? sample.tokens : labels.filter((id) => id >= 0));
        if (labels.length < n && mask[n - 1] !== 0) faults[0]++;
        if (sets.some((set) => learnsNothing(sample, set))) faults[1]++;
        if (sets.length > 0) addLittle(sample, little);
      },
      value: () => ({
        sums,
        sources: sources.value(),
        lengths,
        tokens: tokens.value(),
        faults,
        little: bins,
      }),
    };
  },
  merge: (a, b) => ({
    sums: addSums(a.sums, b.sums),
    sources: mergeNamedSums(a.sources, b.sources),
    lengths: addSums(a.lengths, b.lengths),
    tokens: mergeTokenCounts(a.tokens, b.tokens),
    faults: addSums(a.faults, b.faults),
    little: a.little.map((own, i) => addSums(own, b.little[i])),
  }),
};

/** Whether a position is to be learned that has no target. */
function learnsNothing(
  { mask, labels }: AuditSample,
  { targets: { offsets } }: AuditTargets,
): boolean {
  for (let t = 0; t < labels.length; t++) {
    if (mask[t] !== 0 && offsets[t] === offsets[t + 1]) return true;
  }
  return false;
}

interface Little {
  readonly nth: EveryNth;
  /** V of each set. */
  readonly widths: readonly number[];
  /** Positions, and bytes, between the entropies. */
  readonly bins: number[][];
}

/** Counts learned positions with little entropy in every set, and their entries' share of bytes. */
function addLittle({ mask, sets, sampleId }: AuditSample, { nth, widths, bins }: Little): void {
  const entropies = sets.map(({ targets }, k) => entropyOf(targets, widths[k]));
  for (let t = nth.first(sampleId); t < mask.length; t += nth.every) {
    if (mask[t] === 0) continue;
    let entropy = 0;
    let bytes = 0;
    for (let k = 0; k < sets.length; k++) {
      const { offsets, count } = sets[k].targets;
      entropy = Math.max(entropy, entropies[k](t));
      bytes += (sets[k].bytes * (offsets[t + 1] - offsets[t])) / Math.max(1, offsets[count]);
    }
    const bin = littleEntropies.findIndex((most) => entropy < most);
    if (bin < 0) continue;
    bins[bin][0] += nth.every;
    bins[bin][1] += nth.every * bytes;
  }
}

export function coverageReport(
  value: CoverageValue,
  { label_space }: Manifest,
  duplicates: Duplicates,
): AuditCoverage {
  const [samples, positions, learned] = value.sums;
  const lines = linesOf(value.sources);
  let below = [0, 0];
  return {
    samples,
    positions,
    learned,
    sources: {
      total: lines.length,
      rows: lines
        .map(([source, own]) => ({
          source,
          samples: own[0],
          positions: own[1],
          learned: own[2],
        }))
        .sort((a, b) => b.positions - a.positions || (a.source < b.source ? -1 : 1))
        .slice(0, auditRowsMax),
    },
    duplicates,
    lengths: lengthHistogram(value.lengths),
    vocabulary: {
      size: label_space.size,
      used: value.tokens.ids.length,
      most: mostOf(value.tokens, mostTokens),
    },
    mask_faults: { last: value.faults[0], without_target: value.faults[1] },
    little: littleEntropies.map((entropy_max, i) => {
      below = addSums(below, value.little[i]);
      return { entropy_max, positions: below[0], bytes_saved: Math.round(below[1]) };
    }),
  };
}
