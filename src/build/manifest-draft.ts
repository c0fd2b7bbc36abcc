/**
 * The part of a manifest that is known before the first row, and the columns that follow from it.
 */
import type { BuildConfig } from '../../schemas/build-config.ts';
import type { LabelSpace, TargetSet } from '../../schemas/manifest.ts';
import type { TeacherIdentity } from '../capture/source.ts';
import type { Codec } from '../encode/codec.ts';
import type { ColumnTypes } from '../formats/arrow.ts';
import { canonicalJson } from '../formats/canonical.ts';
import { shardColumns } from '../shard/columns.ts';
import type { Sparsifier } from '../sparsify/sparsifier.ts';

export interface DraftOptions {
  readonly config: BuildConfig;
  readonly codec: Codec;
  readonly sparsifier: Sparsifier;
  readonly identity: TeacherIdentity;
}

/** The target set without what is only known at the end. */
export function draftTargetSet(options: DraftOptions): TargetSet {
  const { config, codec, sparsifier, identity } = options;
  const { name, revision, source, reports } = identity;
  return {
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
}

/** Columns of the shards, and the schema metadata that says what they hold. */
export function shardSchema(
  set: TargetSet,
  labelSpace: LabelSpace,
): { types: ColumnTypes; metadata: Record<string, string> } {
  const { name, kind, codec, log_z } = set;
  return {
    types: shardColumns({ kind: 'text', target_sets: [set], label_space: labelSpace }),
    metadata: {
      'logitcask.version': '1',
      'logitcask.role': 'shard',
      'logitcask.alignment': 'predicts-next',
      'logitcask.label_space': canonicalJson(labelSpace),
      'logitcask.target_sets': canonicalJson([{ name, kind, codec, log_z }]),
    },
  };
}
