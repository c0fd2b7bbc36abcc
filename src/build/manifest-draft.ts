/** The part of a manifest that is known before the first row. */
import type { BuildSettings } from '../../schemas/build-config.ts';
import type { TargetSet } from '../../schemas/manifest.ts';
import type { TeacherIdentity } from '../capture/source.ts';
import type { Codec } from '../encode/codec.ts';
import type { Sparsifier } from '../sparsify/sparsifier.ts';

export interface DraftOptions {
  readonly config: BuildSettings;
  readonly codec: Codec;
  readonly sparsifier: Sparsifier;
  readonly identity: TeacherIdentity;
}

/** The target set without what is only known at the end; none for hard labels alone. */
export function draftTargetSets(options: DraftOptions): TargetSet[] {
  const { config, codec, sparsifier, identity } = options;
  const { name, revision, source, reports } = identity;
  if (reports === 'tokens') return [];
  const set: TargetSet = {
    name: config.target_set,
    teacher: { name, revision, source, reports },
    kind: sparsifier.kind,
    normalisation: 'softmax',
    sparsifier: {
      name: sparsifier.name,
      parameters: { ...sparsifier.parameters },
      entries_max: sparsifier.entriesMax,
    },
    codec: {
      name: codec.name as TargetSet['codec']['name'],
      parameters: { ...codec.parameters },
    },
    temperature: 1,
    log_z: config.temperatures,
    temperature_exact: reports === 'whole',
    label_logprob: true,
    entries: 0,
    fidelity: null,
    alignment: null,
  };
  return [set];
}
