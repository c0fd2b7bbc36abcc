/** A sparsifier and a codec that fit together. */
import type { BuildConfig, SparsifierConfig } from '../../schemas/build-config.ts';
import type { TargetKind } from '../distribution/targets.ts';
import type { Codec } from '../encode/codec.ts';
import { createCodec } from '../encode/table.ts';
import { LogitcaskError } from '../errors.ts';
import type { Sparsifier } from '../sparsify/sparsifier.ts';
import { createSparsifier } from '../sparsify/table.ts';

/** What decides the targets' bytes. */
export interface Rules {
  readonly sparsifier: Sparsifier;
  readonly codec: Codec;
}

/** The rules at a step (codecs with levels) and τ (`threshold`); V is `width`. */
export function rulesAt(
  { sparsifier, codec }: Pick<BuildConfig, 'sparsifier' | 'codec'>,
  { step, tau, width }: { step: number; tau: number; width: number },
): Rules {
  const kind = kindOf(sparsifier);
  if (sparsifier.type !== 'threshold') {
    const rule = createSparsifier(sparsifier);
    return {
      sparsifier: rule,
      codec: createCodec(codec.type, { kind, width }, { ...codec, step }),
    };
  }
  if (codec.type === 'raw') {
    return {
      sparsifier: createSparsifier({ type: 'threshold', tau }),
      codec: createCodec('raw', { kind, width }),
    };
  }
  if (tau < step * step) {
    const message = 'config: the step on √p is wider than √τ; take a smaller step or a larger tau';
    throw new LogitcaskError('config-invalid', message, {
      expected: `step ≤ ${Math.sqrt(tau)}`,
      got: step,
    });
  }
  return {
    sparsifier: createSparsifier({ type: 'threshold', tau, step }),
    codec: createCodec(codec.type, { kind, width }, { ...codec, step, tau }),
  };
}

export function kindOf({ type }: SparsifierConfig): TargetKind {
  return type === 'threshold' ? 'unbiased' : 'scaled';
}
