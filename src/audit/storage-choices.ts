/** Ways to store targets, measured side by side: bytes by compression, and what is lost. */
import type { Fidelity } from '../../schemas/manifest.ts';
import { divergences } from '../distribution/divergence.ts';
import { rounded } from '../distribution/rounded.ts';
import type { ListRows } from '../distribution/rows.ts';
import type { TargetKind, Targets } from '../distribution/targets.ts';
import { type Compression, compressions } from '../encode/compression.ts';
import { dequantise, type Grid, quantise, steps } from '../encode/levels.ts';
import { encodePlanes } from '../encode/planes.ts';
import type { Sparsifier } from '../sparsify/sparsifier.ts';
import { createSparsifier, type SparsifierOptions } from '../sparsify/table.ts';
import { summary } from './fidelity.ts';

/** The settings that are compared: sparsifiers by steps. */
export const stepsTried: readonly number[] = [steps.fine, steps.standard, 0.03];

export const scaledTried: readonly Exclude<SparsifierOptions, { type: 'threshold' }>[] = [
  ...[16, 32, 64, 128].map((k) => ({ type: 'top-k' as const, k })),
  ...[0.9, 0.98].map((p) => ({ type: 'top-p' as const, p, floor: 1, cap: 128 })),
];

/** Without a step: their weights are rounded to each of the steps later. */
export const unbiasedTried: readonly Extract<SparsifierOptions, { type: 'threshold' }>[] = [
  0.1, 0.05, 0.02, 0.01, 0.005,
].map((tau) => ({ type: 'threshold', tau }));

type Summary = NonNullable<Fidelity['kl']>;

export interface StorageChoice {
  /** As a build's configuration has it. */
  readonly sparsifier: SparsifierOptions;
  readonly step: number;
  readonly kind: TargetKind;
  /** Stored entries of a position. */
  readonly entries: number;
  /** Bytes a position of targets, by compression. */
  readonly bytes: Readonly<Record<Compression, number>>;
  /** Scaled: KL(given ‖ stored) in nats; what is not stored is one cell. */
  readonly kl: Summary | null;
  /** Scaled: the same over all ids, the stored rest spread evenly over those not stored. */
  readonly klSpread: Summary | null;
  /** Scaled: the given probability of the stored entries. */
  readonly mass: number | null;
  /** Unbiased: Σ E(weight − p)² over all ids. */
  readonly variance: Summary | null;
  /** No choice of its kind that takes fewer bytes (zstd) loses as little, to within 5 %. */
  readonly front: boolean;
}

/** A sparsifier, and sums over the positions measured with it. */
export interface ChoiceTally {
  readonly options: SparsifierOptions;
  readonly sparsifier: Sparsifier;
  /** Entries that it kept. */
  kept: number;
  readonly steps: readonly StepTally[];
}

interface StepTally {
  readonly grid: Grid;
  stored: number;
  readonly bytes: Record<Compression, number>;
  readonly kl: number[];
  readonly klSpread: number[];
  mass: number;
  readonly variance: number[];
}

const compressionNames = Object.keys(compressions) as Compression[];

export function beginChoice(options: SparsifierOptions, stepsTried: readonly number[]) {
  const tau = options.type === 'threshold' ? Math.fround(options.tau) : 0;
  const steps = stepsTried.map(
    (step): StepTally => ({
      grid: { step: Math.fround(step), tau },
      stored: 0,
      bytes: { zstd: 0, lz4: 0 },
      kl: [],
      klSpread: [],
      mass: 0,
      variance: [],
    }),
  );
  return { options, sparsifier: createSparsifier(options), kept: 0, steps };
}

/** The lists as a source of top lists would give them: a shorter cut of them is a row's own. */
export function rowsOf({ count, offsets, ids, logprobs, rest }: Targets, width: number): ListRows {
  return { form: 'lists', count, width, offsets, ids, logprobs, tail: rest };
}

/** Scaled targets from longer lists: one reading of the rows serves all cuts. `width` is V. */
export function cutLists(exact: Targets, { sparsifier }: ChoiceTally, width: number): Targets {
  const labels = new Int32Array(exact.count).fill(-1);
  const context = { labels, temperatures: [], sampleId: new Uint8Array(16), position: 0 };
  return sparsifier.sparsify(rowsOf(exact, width), context);
}

/** Adds one sample's targets, which a choice has made of what is `exact`. */
export function addToChoice(
  choice: ChoiceTally,
  { targets, exact, width }: { targets: Targets; exact: Targets; width: number },
): void {
  choice.kept += targets.ids.length;
  for (const step of choice.steps) {
    const { grid } = step;
    // unbiased weights: to the nearest level here, at random in a build; the bytes are alike
    const levels = quantise(targets, grid);
    step.stored += levels.ids.length;
    for (const compression of compressionNames) {
      step.bytes[compression] += encodePlanes(levels, { ...grid, compression }).length;
    }
    if (targets.kind === 'unbiased') {
      for (const variance of variances(exact, grid, width)) step.variance.push(variance);
      continue;
    }
    for (const { merged, spread, mass } of divergences(exact, dequantise(levels, grid), width)) {
      step.kl.push(merged);
      step.klSpread.push(spread);
      step.mass += mass;
    }
  }
}

/**
 * Variance Σ E(weight − p)² of `threshold`, in closed form: p(τ − p) where p < τ is drawn, and
 * (p − low)(high − p) where p ≥ τ is rounded at random to one of two levels. `width` is V.
 */
export function variances(exact: Targets, { step, tau }: Grid, width: number): Float64Array {
  const { count, offsets, logprobs, rest } = exact;
  const atTau = Math.fround(Math.log(tau)); // a codec has a level of its own for it
  return Float64Array.from({ length: count }, (_, t) => {
    let sum = tau * rest[t] - squaresBeyond(exact, t, width);
    for (let i = offsets[t]; i < offsets[t + 1]; i++) {
      if (logprobs[i] === atTau) continue;
      const p = Math.exp(logprobs[i]);
      const level = Math.floor(Math.sqrt(p) / step);
      sum += p < tau ? p * (tau - p) : (p - (level * step) ** 2) * (((level + 1) * step) ** 2 - p);
    }
    return sum;
  });
}

/** Σ p² of row t beyond its list, whose mass is spread over the ids that are left. */
export function squaresBeyond({ offsets, rest }: Targets, t: number, width: number): number {
  return rest[t] ** 2 / Math.max(1, width - (offsets[t + 1] - offsets[t]));
}

type Draft = Omit<StorageChoice, 'front'>;

export function choicesOf(tallies: readonly ChoiceTally[], positions: number): Draft[] {
  // where lists are shorter than K, a larger K keeps the same
  const distinct = tallies.filter(
    (own, i) =>
      !tallies
        .slice(0, i)
        .some(({ options, kept }) => options.type === own.options.type && kept === own.kept),
  );
  return distinct.flatMap(({ options, sparsifier: { kind }, steps }) =>
    steps.map(({ grid, stored, bytes, kl, klSpread, mass, variance }) => ({
      sparsifier: options,
      step: rounded(grid.step),
      kind,
      entries: stored / positions,
      bytes: { zstd: bytes.zstd / positions, lz4: bytes.lz4 / positions },
      kl: summary(kl),
      klSpread: summary(klSpread),
      mass: kind === 'scaled' ? mass / Math.max(1, kl.length) : null,
      variance: summary(variance),
    })),
  );
}

/** What a choice loses, for comparisons within its kind. */
export function lossOf({ klSpread, variance }: Draft): number {
  return (klSpread ?? variance)?.mean ?? 0;
}

/** Losses so near to each other count as equal. */
export const lossSlack = 1.05;

export function withFront(drafts: readonly Draft[]): StorageChoice[] {
  return drafts.map((own) => {
    const beats = (other: Draft) =>
      other.kind === own.kind &&
      other.bytes.zstd < own.bytes.zstd &&
      lossOf(other) <= lossOf(own) * lossSlack;
    return { ...own, front: !drafts.some(beats) };
  });
}

export function stepText(step: number): string {
  return Object.entries(steps).find(([, value]) => value === step)?.[0] ?? String(step);
}

/** As flags of `build`. */
export function flagsOf({ sparsifier, step }: Pick<StorageChoice, 'sparsifier' | 'step'>): string {
  const { type, ...values } = sparsifier;
  const options = Object.entries(values).map(([key, value]) => `--${key} ${value}`);
  return [...options, `--step ${stepText(step)}`].join(' ');
}
