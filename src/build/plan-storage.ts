/** What each way of storing targets would cost and lose, measured on the first samples. */
import type { BuildConfig } from '../../schemas/build-config.ts';
import type { Fidelity } from '../../schemas/manifest.ts';
import { summary } from '../audit/fidelity.ts';
import { headOf } from '../capture/heads.ts';
import type { Source, TeacherIdentity } from '../capture/source.ts';
import { openSource, type SourceOptions } from '../capture/table.ts';
import type { TargetKind, Targets } from '../distribution/targets.ts';
import { type Compression, compressions } from '../encode/compression.ts';
import { dequantise, type Grid, quantise } from '../encode/levels.ts';
import { encodePlanes } from '../encode/planes.ts';
import { LogitcaskError } from '../errors.ts';
import { canonicalJson } from '../formats/canonical.ts';
import type { Sparsifier } from '../sparsify/sparsifier.ts';
import { createSparsifier, type SparsifierOptions } from '../sparsify/table.ts';
import { firstTargets } from './first-targets.ts';
import { divergences } from './solve-kl.ts';
import { scaledTried, stepsTried, unbiasedTried } from './storage-grid.ts';
import { exactLists, randomDraws, rowsOf, variances } from './storage-losses.ts';

/** Fewer say nothing about a 99th percentile. */
export const samplePositionsMin = 100;

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
  /** Scaled: KL(teacher ‖ stored) in nats; what is not stored is one cell. */
  readonly kl: Summary | null;
  /** Scaled: the same over all ids, the stored rest spread evenly over those not stored. */
  readonly klSpread: Summary | null;
  /** Scaled: the teacher's probability of the stored entries. */
  readonly mass: number | null;
  /** Unbiased: Σ E(weight − p)² over all ids. */
  readonly variance: Summary | null;
  /** No choice of its kind that takes fewer bytes (zstd) loses as little, to within 5 %. */
  readonly front: boolean;
}

export interface StoragePlan {
  readonly teacher: Pick<TeacherIdentity, 'name' | 'revision' | 'source' | 'reports'>;
  readonly vocabulary: number;
  readonly sampled: { readonly samples: number; readonly positions: number };
  /** Positions of the data set; null where neither the source nor the caller knows. */
  readonly positions: number | null;
  /** Bytes a position of what is stored beside the targets. */
  readonly beside: Readonly<Record<'tokens' | 'mask' | 'labelLogprob' | 'logZ' | 'sample', number>>;
  readonly choices: readonly StorageChoice[];
  /** 50 random draws of 24 bits, as published; null for a source of top lists. */
  readonly draws: { readonly bytes: number; readonly variance: number } | null;
}

export interface StoragePlanOptions extends SourceOptions {
  /** Positions to measure: whole samples, as many as reach this. */
  readonly samplePositions: number;
  /** Positions of the data set, where the source holds only a part of it. */
  readonly positions?: number;
  readonly onProgress?: (positions: number) => void;
}

/** Errors: those of the source; `source-unreadable` where it gives too few positions. */
export async function planStorage(
  config: Pick<BuildConfig, 'source' | 'temperatures'>,
  options: StoragePlanOptions,
): Promise<StoragePlan> {
  const source = headOf(await openSource(config.source, options), 0);
  try {
    return await measure(source, config.temperatures.length, options);
  } finally {
    await source.close();
  }
}

/** A sparsifier, and sums over the positions measured with it. */
interface Tally {
  readonly options: SparsifierOptions;
  readonly sparsifier: Sparsifier;
  /** Entries that it kept. */
  kept: number;
  readonly steps: readonly {
    readonly grid: Grid;
    stored: number;
    readonly bytes: Record<Compression, number>;
    readonly kl: number[];
    readonly klSpread: number[];
    mass: number;
    readonly variance: number[];
  }[];
}

const names = Object.keys(compressions) as Compression[];

function tallyOf(options: SparsifierOptions): Tally {
  const tau = options.type === 'threshold' ? Math.fround(options.tau) : 0;
  const steps = stepsTried.map((step) => ({
    grid: { step: Math.fround(step), tau },
    stored: 0,
    bytes: { zstd: 0, lz4: 0 },
    kl: [],
    klSpread: [],
    mass: 0,
    variance: [],
  }));
  return { options, sparsifier: createSparsifier(options), kept: 0, steps };
}

async function measure(
  source: Source,
  temperatures: number,
  options: StoragePlanOptions,
): Promise<StoragePlan> {
  const { name, revision, source: type, reports, vocabulary: width } = source.identity;
  const whole = reports === 'whole';
  const [scaled, unbiased] = [scaledTried.map(tallyOf), whole ? unbiasedTried.map(tallyOf) : []];
  const sparsifiers = [exactLists, ...unbiased.map(({ sparsifier }) => sparsifier)];
  const sampled = { samples: 0, positions: 0 };
  const draws = { bytes: 0, variance: 0 };
  let metaBytes = 0;
  const positionsMax = options.samplePositions;
  for await (const { sample, targets } of firstTargets(source, { sparsifiers, positionsMax })) {
    const [exact, ...drawn] = targets;
    for (const tally of scaled) add(tally, { targets: cut(exact, tally, width), exact, width });
    unbiased.forEach((tally, i) => {
      add(tally, { targets: drawn[i], exact, width });
    });
    if (whole) {
      const { bytes, variance } = randomDraws(exact, width);
      draws.bytes += bytes;
      draws.variance += variance;
    }
    sampled.samples++;
    sampled.positions += exact.count;
    metaBytes += canonicalJson(sample.meta).length;
    options.onProgress?.(sampled.positions);
  }
  const n = sampled.positions;
  if (n < samplePositionsMin) throw tooFew(n);
  return {
    teacher: { name, revision, source: type, reports },
    vocabulary: width,
    sampled,
    positions: options.positions ?? source.positions ?? null,
    beside: besideOf(sampled, { metaBytes, temperatures }),
    choices: withFront([...choicesOf(scaled, n), ...choicesOf(unbiased, n)]),
    draws: whole ? { bytes: draws.bytes / n, variance: draws.variance / n } : null,
  };
}

/** Scaled targets from the exact lists: one reading of the rows serves all of them. */
function cut(exact: Targets, { sparsifier }: Tally, width: number): Targets {
  const labels = new Int32Array(exact.count).fill(-1);
  const context = { labels, temperatures: [], sampleId: new Uint8Array(16), position: 0 };
  return sparsifier.sparsify(rowsOf(exact, width), context);
}

function add(
  tally: Tally,
  { targets, exact, width }: { targets: Targets; exact: Targets; width: number },
): void {
  tally.kept += targets.ids.length;
  for (const step of tally.steps) {
    const { grid } = step;
    // unbiased weights: to the nearest level here, at random in a build; the bytes are alike
    const levels = quantise(targets, grid);
    step.stored += levels.ids.length;
    for (const compression of names) {
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

type Draft = Omit<StorageChoice, 'front'>;

function choicesOf(tallies: readonly Tally[], positions: number): Draft[] {
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
      step: Number(grid.step.toPrecision(6)),
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

function withFront(drafts: readonly Draft[]): StorageChoice[] {
  return drafts.map((own) => {
    const beats = (other: Draft) =>
      other.kind === own.kind &&
      other.bytes.zstd < own.bytes.zstd &&
      lossOf(other) <= lossOf(own) * lossSlack;
    return { ...own, front: !drafts.some(beats) };
  });
}

function besideOf(
  { samples, positions }: StoragePlan['sampled'],
  { metaBytes, temperatures }: { metaBytes: number; temperatures: number },
): StoragePlan['beside'] {
  // an id of 16 bytes, and an offset for tokens, mask, meta, frame, label and log Z
  const each = 16 + 4 * (5 + Math.min(1, temperatures));
  return {
    tokens: 4,
    mask: 1 / 8,
    labelLogprob: 2,
    logZ: 4 * temperatures,
    sample: (samples * each + metaBytes) / positions,
  };
}

function tooFew(got: number): LogitcaskError {
  const message = `capture: ${got} positions are too few to plan storage by; give more input`;
  const expected = `at least ${samplePositionsMin} positions`;
  return new LogitcaskError('source-unreadable', message, { expected, got });
}
