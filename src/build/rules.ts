/** A sparsifier and a codec that fit together. */
import type { BuildSettings, SparsifierConfig } from '../../schemas/build-config.ts';
import type { Source } from '../capture/source.ts';
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
 * cannot be, and a KL and log Z are properties of scaled targets.
 */
export function withSparsifier(config: BuildSettings, { identity }: Source): ChosenConfig {
  const scaled =
    identity.reports !== 'whole' ||
    config.budget.max_kl !== undefined ||
    config.temperatures.length > 0;
  const standard = scaled ? ({ type: 'top-k', k: 64 } as const) : ({ type: 'threshold' } as const);
  return { ...config, sparsifier: config.sparsifier ?? standard };
}

/** The rules at a step (codecs with levels) and τ (`threshold`); V is `width`. */
export function rulesAt(
  { sparsifier, codec }: Pick<ChosenConfig, 'sparsifier' | 'codec'>,
  { step, tau, width }: { step: number; tau: number; width: number },
): Rules {
  const kind = kindOf(sparsifier);
  if (sparsifier.type !== 'threshold') {
    return rulesOf(sparsifier, createCodec(codec.type, { kind, width }, { ...codec, step }));
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

export function kindOf({ type }: SparsifierConfig): TargetKind {
  return type === 'threshold' ? 'unbiased' : 'scaled';
}
