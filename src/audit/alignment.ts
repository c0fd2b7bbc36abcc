/**
 * Alignment of what is stored: which token the distributions describe, tested on every shard and
 * source as sources are before they are built, from the stored lists alone.
 */
import { type AuditAlignment, auditRowsMax } from '../../schemas/audit.ts';
import { rounded } from '../distribution/rounded.ts';
import { outsideLogprob, shifts } from '../distribution/shifts.ts';
import type { DecodedTargets } from '../distribution/targets.ts';
import { type EveryNth, everyNth } from './every-nth.ts';
import { createNamedSums, linesOf, mergeNamedSums, type NamedSums } from './named-sums.ts';
import { sourceReader } from './source-of.ts';
import type { AuditSample, AuditTargets, TallyKind } from './tally.ts';

/** Positions, then log-probs at shifts −1, 0, +1. */
type Sums = readonly number[];

interface SetAlignment {
  readonly name: string;
  readonly sums: Sums;
  /** Those of all shards whose shift 0 leads by least. */
  readonly shards: readonly { readonly name: string; readonly sums: Sums }[];
  readonly shardsTotal: number;
  readonly sources: NamedSums;
}

export type AlignmentValue = readonly SetAlignment[];

const width = 1 + shifts.length;
const everyMax = 16;
/** What float32 rounds to 0 counts as the least that it holds. */
const probabilityMin = 2 ** -149;

export const alignment: TallyKind<AlignmentValue> = {
  begin(manifest) {
    const { target_sets, label_space, files } = manifest;
    const measure = { nth: everyNth(manifest, everyMax), size: label_space.size };
    const sourceOf = sourceReader();
    // images predict nothing that follows them
    const aligned = manifest.alignment === null ? [] : target_sets;
    const sets = aligned.map(({ name }) => ({
      name,
      sums: new Array<number>(width).fill(0),
      sources: createNamedSums(width),
    }));
    return {
      add(sample) {
        const source = sourceOf(sample.meta);
        for (const [i, { sums, sources }] of sets.entries()) {
          const own = sumsOf(sample, sample.sets[i], measure);
          for (let k = 0; k < width; k++) sums[k] += own[k];
          if (own[0] > 0) sources.add(source, own);
        }
      },
      value: () =>
        sets.map(({ name, sums, sources }) => {
          const shards = sums[0] === 0 ? [] : files.map((file) => ({ name: file.name, sums }));
          return { name, sums, shards, shardsTotal: shards.length, sources: sources.value() };
        }),
    };
  },
  merge: (a, b) =>
    a.map((own, i) => ({
      name: own.name,
      sums: own.sums.map((sum, k) => sum + b[i].sums[k]),
      shards: [...own.shards, ...b[i].shards].sort(byLead).slice(0, auditRowsMax),
      shardsTotal: own.shardsTotal + b[i].shardsTotal,
      sources: mergeNamedSums(own.sources, b[i].sources),
    })),
};

/** Log-probs of a sample's tokens under its learned positions that have a target. */
function sumsOf(
  { tokens, mask, sampleId }: AuditSample,
  own: AuditTargets,
  { nth, size }: { nth: EveryNth; size: number },
): number[] {
  const { targets } = own;
  const { offsets, ids, probs } = targets;
  const isSorted = own.set.codec.name !== 'raw' && size <= searchedMax;
  const find = isSorted ? inIdOrder : inRankOrder;
  const signed = new Int32Array(ids.buffer, ids.byteOffset, ids.length);
  const sums = [0, 0, 0, 0];
  for (let t = nth.first(sampleId); t + 2 < tokens.length; t += nth.every) {
    const [from, to] = [offsets[t], offsets[t + 1]];
    if (mask[t] === 0 || from === to) continue;
    sums[0]++;
    let outside = 0; // log-probs are negative: not known yet
    for (let k = 0; k < shifts.length; k++) {
      const i = find(signed, tokens[t + k], { from, to });
      if (i >= 0) sums[1 + k] += Math.log(Math.max(probs[i], probabilityMin));
      else {
        if (outside === 0) outside = outsideLogprob(outsideOf(targets, t), size - (to - from));
        sums[1 + k] += outside;
      }
    }
  }
  return sums;
}

interface Entries {
  readonly from: number;
  readonly to: number;
}

/** Ids of more bits have no sign to compare by. */
const searchedMax = 2 ** 31;

/**
 * Where an id is among ascending ones; −1: nowhere. Halves by arithmetic alone: which half it is
 * cannot be foretold, and a wrong guess of the processor costs more than a step.
 */
export function inIdOrder(ids: Int32Array, id: number, { from, to }: Entries): number {
  let low = from;
  for (let left = to - from; left > 1; ) {
    const half = left >>> 1;
    low += half & ~((id - ids[low + half]) >> 31); // by nothing where the id there is greater
    left -= half;
  }
  return ids[low] === id ? low : -1;
}

export function inRankOrder(ids: Int32Array, id: number, { from, to }: Entries): number {
  for (let i = from; i < to; i++) if (ids[i] === id) return i;
  return -1;
}

/** Mass outside the list of a position. */
function outsideOf({ kind, offsets, probs, rest }: DecodedTargets, t: number): number {
  if (kind === 'scaled') return rest[t];
  let outside = 1;
  for (let i = offsets[t]; i < offsets[t + 1]; i++) outside -= probs[i];
  return outside;
}

export function alignmentReport(value: AlignmentValue): AuditAlignment[] {
  return value.map(({ name, sums, shards, shardsTotal, sources }) => {
    const lines = linesOf(sources).map(([source, own]) => ({ name: source, sums: own }));
    return {
      target_set: name,
      ...shiftsOf(sums),
      best: bestOf(sums),
      shards: {
        total: shardsTotal,
        rows: shards.map((shard) => ({ name: shard.name, ...shiftsOf(shard.sums) })),
      },
      sources: {
        total: lines.length,
        rows: lines
          .sort(byLead)
          .slice(0, auditRowsMax)
          .map((line) => ({ source: line.name, ...shiftsOf(line.sums) })),
      },
    };
  });
}

/** Means, to six digits. */
function shiftsOf([positions, ...sums]: Sums) {
  const [before, at, after] = sums.map((sum) => rounded(sum / Math.max(1, positions)));
  return { positions, before, at, after };
}

/** The shift whose mean is greater than the others'. */
function bestOf([positions, ...sums]: Sums): AuditAlignment['best'] {
  if (positions === 0) return null;
  const most = Math.max(...sums);
  const best = shifts.filter((_, k) => sums[k] === most);
  return best.length === 1 ? best[0] : null;
}

interface Line {
  readonly name: string;
  readonly sums: Sums;
}

/** By what shift 0 is ahead of the better of the others, a position; then by name. */
function byLead(a: Line, b: Line): number {
  return leadOf(a.sums) - leadOf(b.sums) || (a.name < b.name ? -1 : 1);
}

function leadOf([positions, before, at, after]: Sums): number {
  return (at - Math.max(before, after)) / Math.max(1, positions);
}
