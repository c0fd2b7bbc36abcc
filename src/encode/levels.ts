/**
 * Levels on √p: a uniform step there spends the KL budget equally over the entries
 * (KL ≈ n·step²/6), where a step on log p would waste bits on entries that hardly matter.
 */
import type { DecodedTargets, TargetKind, Targets } from '../distribution/targets.ts';
import { growRun, type Run, runPositionsMax, sortRun } from './by-id.ts';
import { cellsPerNat, thresholdsOf } from './thresholds.ts';

/** Entries of n positions as the integers that are stored; ids ascend within a position. */
export interface Levels {
  readonly kind: TargetKind;
  /** Length n. */
  readonly counts: Uint32Array;
  readonly ids: Uint32Array;
  readonly levels: Uint16Array;
  /** −ln(rest mass)·2048, length n; of scaled targets only, otherwise empty. */
  readonly rest: Uint16Array;
}

const levelsMax = 65_535;
const logHalf = Math.log(0.5);

/** Unbiased targets: the weight of a level; float64. */
export function weightOf(level: number, step: number, tau: number): number {
  const root = level * step;
  return level === 0 ? tau : root * root;
}

/** Independent targets: the greatest level that a probability, or what it leaves to 1, has. */
export function scoreMax(step: number): number {
  const most = Math.floor(1 / step);
  return Math.min(levelsMax >> 1, most * step > 1 ? most - 1 : most);
}

/** Whether a level stands for a probability, where `most` is the greatest one. */
export function isScore(level: number, most: number): boolean {
  return level > 0 && (level <= most || levelsMax - level <= most);
}

/** Independent targets: the probability of a level, from 32,768 on one minus that of its rest. */
export function scoreOf(level: number, step: number): number {
  const isHigh = level > levelsMax >> 1;
  const root = (isHigh ? levelsMax - level : level) * step;
  return isHigh ? 1 - root * root : root * root;
}

export const steps = { fine: 0.003, standard: 0.0095 } as const;

const restScale = 2048;

/** Rest mass of each stored value: float32 of a float64 exponential. */
export const restMass: Float32Array = Float32Array.from({ length: 65_536 }, (_, i) =>
  Math.exp(-i / restScale),
);

export function quantiseRest(mass: number): number {
  return Math.min(65_535, Math.max(0, Math.round(-Math.log(mass) * restScale)));
}

/** What levels stand for: the step on √p and, for unbiased targets, τ; both float32 values. */
export interface Grid {
  readonly step: number;
  /** The weight of level 0; 0 for scaled targets. */
  readonly tau: number;
}

/** Entries that are sorted together: few enough to stay in cache, unless one position has more. */
const runEntries = 32_768;
const run: Run = { ids: new Uint32Array(0), tags: new Uint32Array(0) };

/**
 * Scaled targets: level = round(√p / step); entries at level 0 join the rest. Unbiased targets: an
 * entry of weight τ has level 0, every other √w / step, on which its sparsifier has put it.
 * Independent ones: as scaled up to ½, above it the level of 1 − p counted down from 65,535, as a
 * probability near 1 tells as much as one near 0; entries at level 0 are left out.
 */
export function quantise(targets: Targets, grid: Grid): Levels {
  const { kind, count, offsets } = targets;
  const levels: Levels = {
    kind,
    counts: new Uint32Array(count),
    ids: new Uint32Array(targets.ids.length),
    levels: new Uint16Array(targets.ids.length),
    rest: new Uint16Array(kind === 'scaled' ? count : 0),
  };
  let kept = 0;
  for (let from = 0, to = 0; from < count; from = to) {
    const last = Math.min(count, from + runPositionsMax);
    for (to = from + 1; to < last && offsets[to + 1] - offsets[from] <= runEntries; ) to++;
    growRun(run, offsets[to] - offsets[from]);
    quantiseRun(targets, { grid, from, to }, levels);
    const starts = new Uint32Array(to - from);
    const first = kept;
    for (let t = from; t < to; t++) {
      starts[t - from] = kept;
      kept += levels.counts[t];
    }
    sortRun(run, { entries: kept - first, starts }, levels);
  }
  return { ...levels, ids: levels.ids.subarray(0, kept), levels: levels.levels.subarray(0, kept) };
}

/** Writes entries to `run` as they come; counts and rest to their places. */
function quantiseRun(
  { kind, offsets, ids, logprobs, rest: masses }: Targets,
  { grid, from, to }: { grid: Grid; from: number; to: number },
  { counts, rest }: Levels,
): void {
  const { exact, lowest, cells } = thresholdsOf(grid.step);
  const { ids: runIds, tags } = run;
  const scaled = kind === 'scaled';
  const most = scoreMax(grid.step);
  const atTau = Math.fround(Math.log(grid.tau));
  let at = 0;
  for (let t = from; t < to; t++) {
    const start = at;
    const tag = (t - from) << 16;
    let mass = masses[t];
    for (let i = offsets[t]; i < offsets[t + 1]; i++) {
      const logprob = logprobs[i];
      let level = 0;
      if (logprob > 0) level = Math.min(65_535, exact(logprob));
      else if (logprob >= lowest[1]) {
        level = cells[(logprob * -cellsPerNat) | 0];
        while (logprob >= lowest[level + 1]) level++;
      }
      if (kind === 'independent') {
        const isHigh = logprob > logHalf;
        if (isHigh) level = exact(Math.log(-Math.expm1(Math.min(0, logprob))));
        level = Math.min(most, level); // by the finest steps only
        if (isHigh) level = levelsMax - level;
        if (level === 0) continue;
      } else if (!scaled) level = logprob === atTau ? 0 : Math.max(1, level);
      else if (level === 0) {
        mass += Math.exp(logprob);
        continue;
      }
      runIds[at] = ids[i];
      tags[at++] = tag | level;
    }
    counts[t] = at - start;
    // never 0 beside entries: a rest of 1 would make them 0, and the divergence infinite
    if (scaled) rest[t] = at === start ? 0 : Math.max(1, quantiseRest(mass));
  }
}

/**
 * The probabilities that stored integers stand for: float64 in the documented order, one rounding.
 */
export function dequantise(
  { kind, counts, ids, levels, rest }: Levels,
  { step, tau }: Grid,
): DecodedTargets {
  const count = counts.length;
  const offsets = new Uint32Array(count + 1);
  const probs = new Float32Array(ids.length);
  const masses = new Float32Array(kind === 'scaled' ? count : 0);
  let at = 0;
  for (let t = 0; t < count; t++) {
    const end = at + counts[t];
    offsets[t + 1] = end;
    if (kind !== 'scaled') {
      for (; at < end; at++) {
        probs[at] =
          kind === 'unbiased' ? weightOf(levels[at], step, tau) : scoreOf(levels[at], step);
      }
      continue;
    }
    masses[t] = counts[t] === 0 ? 1 : restMass[rest[t]];
    let sum = 0;
    for (let i = at; i < end; i++) sum += levels[i] * levels[i];
    const scale = (1 - masses[t]) / sum;
    for (; at < end; at++) probs[at] = levels[at] * levels[at] * scale;
  }
  return { kind, count, offsets, ids, probs, rest: masses };
}
