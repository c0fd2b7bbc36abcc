/** A sparsifier and a codec that fit together. */
import type { BuildSettings, SparsifierConfig } from '../../schemas/build-config.ts';
import type { Head, Source } from '../capture/source.ts';
import type { TargetKind } from '../distribution/targets.ts';
import type { Codec } from '../encode/codec.ts';
import { createCodec } from '../encode/table.ts';
import { LogitcaskError } from '../errors.ts';
import type { Sparsifier } from '../sparsify/sparsifier.ts';
import { createSparsifier, type SparsifierOptions } from '../sparsify/table.ts';

/** A configuration whose sparsifier is chosen. */
export type ChosenConfig = BuildSettings & { readonly sparsifier: SparsifierConfig };

/** What decides the targets' bytes. */
export interface Rules {
  /** What `sparsifier` was made of: another thread makes the same one. */
  readonly options: SparsifierOptions;
  readonly sparsifier: Sparsifier;
  readonly codec: Codec;
}

/**
 * Whole distributions are sampled: that teaches most at a size (docs/sparsifiers.md). Top lists
 * cannot be, and a KL and log Z are properties of scaled targets. Few classes are kept whole.
 */
export function withSparsifier(config: BuildSettings, { identity, vision }: Source): ChosenConfig {
  const scaled =
    identity.reports !== 'whole' ||
    vision !== undefined ||
    config.budget.max_kl !== undefined ||
    config.temperatures.length > 0;
  const standard = scaled ? ({ type: 'top-k', k: 64 } as const) : ({ type: 'threshold' } as const);
  return { ...config, sparsifier: config.sparsifier ?? standard };
}

/** The rules at a step (codecs with levels) and τ (`threshold`); V is `width`. */
export function rulesAt(
  { sparsifier, codec }: Pick<ChosenConfig, 'sparsifier' | 'codec'>,
  { step, tau, width, head }: { step: number; tau: number; width: number; head?: Head },
): Rules {
  const kind = kindOf(sparsifier, head);
  const chosen = head === undefined ? sparsifier : withinHead(sparsifier, head);
  if (chosen.type !== 'threshold') {
    return rulesOf(chosen, createCodec(codec.type, { kind, width }, { ...codec, step }));
  }
  if (codec.type === 'raw') {
    return rulesOf({ type: 'threshold', tau }, createCodec('raw', { kind, width }));
  }
  if (tau < step * step) {
    const message = 'config: the step on √p is wider than √τ; take a smaller step or a larger tau';
    throw new LogitcaskError('config-invalid', message, {
      expected: `step ≤ ${Math.sqrt(tau)}`,
      got: step,
    });
  }
  const levels = createCodec(codec.type, { kind, width }, { ...codec, step, tau });
  return rulesOf({ type: 'threshold', tau, step }, levels);
}

function rulesOf(options: SparsifierOptions, codec: Codec): Rules {
  return { options, sparsifier: createSparsifier(options), codec };
}

export function kindOf({ type }: SparsifierConfig, head?: Head): TargetKind {
  if (head?.normalisation === 'sigmoid') return 'independent';
  return type === 'threshold' ? 'unbiased' : 'scaled';
}

/** The rule for a head: no more entries than it has classes, and scores taken as they are. */
function withinHead(
  sparsifier: SparsifierConfig,
  { labelSpace, normalisation, name }: Head,
): SparsifierConfig | SparsifierOptions {
  if (sparsifier.type === 'top-k') {
    const k = Math.min(sparsifier.k, labelSpace.size);
    return { type: normalisation === 'sigmoid' ? 'independent' : 'top-k', k };
  }
  if (normalisation === 'softmax') return sparsifier;
  const message = `config: the sigmoid scores of ${name} are no distribution to sample; take top-k`;
  throw new LogitcaskError('config-invalid', message, { expected: 'top-k', got: sparsifier.type });
}
