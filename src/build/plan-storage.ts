/** What each way of storing targets would cost and lose, measured on the first samples. */
import type { BuildConfig } from '../../schemas/build-config.ts';
import {
  addToChoice,
  beginChoice,
  choicesOf,
  cutLists,
  type StorageChoice,
  scaledTried,
  stepsTried,
  unbiasedTried,
  withFront,
} from '../audit/storage-choices.ts';
import { headOf } from '../capture/heads.ts';
import type { Source, TeacherIdentity } from '../capture/source.ts';
import { openSource, type SourceOptions } from '../capture/table.ts';
import { LogitcaskError } from '../errors.ts';
import { canonicalJson } from '../formats/canonical.ts';
import type { SparsifierOptions } from '../sparsify/table.ts';
import { firstTargets } from './first-targets.ts';
import { exactLists, randomDraws } from './storage-losses.ts';

/** Fewer say nothing about a 99th percentile. */
export const samplePositionsMin = 100;

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

const choiceOf = (options: SparsifierOptions) => beginChoice(options, stepsTried);

async function measure(
  source: Source,
  temperatures: number,
  options: StoragePlanOptions,
): Promise<StoragePlan> {
  const { name, revision, source: type, reports, vocabulary: width } = source.identity;
  const whole = reports === 'whole';
  const [scaled, unbiased] = [scaledTried.map(choiceOf), whole ? unbiasedTried.map(choiceOf) : []];
  const sparsifiers = [exactLists, ...unbiased.map(({ sparsifier }) => sparsifier)];
  const sampled = { samples: 0, positions: 0 };
  const draws = { bytes: 0, variance: 0 };
  let metaBytes = 0;
  const positionsMax = options.samplePositions;
  for await (const { sample, targets } of firstTargets(source, { sparsifiers, positionsMax })) {
    const [exact, ...drawn] = targets;
    for (const choice of scaled) {
      addToChoice(choice, { targets: cutLists(exact, choice, width), exact, width });
    }
    unbiased.forEach((choice, i) => {
      addToChoice(choice, { targets: drawn[i], exact, width });
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
