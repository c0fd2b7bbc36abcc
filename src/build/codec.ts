/** The codec that a configuration asks for; a step solved for a budget is the same in every run. */
import type { BuildConfig } from '../../schemas/build-config.ts';
import type { Source } from '../capture/source.ts';
import type { Codec } from '../encode/codec.ts';
import { steps } from '../encode/levels.ts';
import { createCodec } from '../encode/table.ts';
import type { Sparsifier } from '../sparsify/sparsifier.ts';
import { solveStep } from './step.ts';

export async function openCodecFor(
  { codec }: BuildConfig,
  { source, sparsifier }: { source: Source; sparsifier: Sparsifier },
): Promise<Codec> {
  const options = { kind: sparsifier.kind, width: source.identity.vocabulary };
  if (codec.type === 'raw') return createCodec('raw', options);
  const { step, max_kl: klMax } = codec;
  const solved =
    klMax !== undefined
      ? await solveStep(source, { sparsifier, klMax })
      : typeof step === 'number'
        ? step
        : steps[step ?? 'fine'];
  if (codec.type === 'plain') return createCodec('plain', options, { step: solved });
  return createCodec('planes', options, { step: solved, compression: codec.compression });
}
