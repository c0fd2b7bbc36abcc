/** The part of a manifest that is known before the first row. */
import type { BuildSettings } from '../../schemas/build-config.ts';
import type { TargetSet } from '../../schemas/manifest.ts';
import type { Head, Source } from '../capture/source.ts';
import { LogitcaskError } from '../errors.ts';
import { canonicalJson } from '../formats/canonical.ts';
import type { Rules } from './rules.ts';
import type { SnapshotInputs } from './shards.ts';

export interface DraftOptions {
  readonly config: BuildSettings;
  /** One for each head. */
  readonly rules: readonly Rules[];
  readonly source: Source;
}

/** The target sets without what is only known at the end; none for hard labels alone. */
export function draftTargetSets({ config, rules, source }: DraftOptions): TargetSet[] {
  const { reports, ...identity } = source.identity;
  if (reports === 'tokens') return [];
  const sets = rules.map((own, i) => {
    const set = draft(config, own, { ...identity, reports });
    const heads = source.vision?.heads;
    return heads === undefined ? set : headSet(set, heads[i], heads[0]);
  });
  const names = sets.map(({ name }) => name);
  const got = names.find((name, i) => names.indexOf(name) < i);
  if (got === undefined) return sets;
  const message = `config: two target sets are named ${got}; name the heads otherwise`;
  throw new LogitcaskError('config-invalid', message, { expected: 'distinct names', got: names });
}

function headSet(set: TargetSet, head: Head, first: Head): TargetSet {
  const { labelSpace, normalisation, name } = head;
  const isOther = canonicalJson(labelSpace) !== canonicalJson(first.labelSpace);
  return {
    ...set,
    name: head === first ? set.name : name,
    normalisation,
    label_space: isOther ? labelSpace : undefined,
    // twice the size of a class among few, whose entry is mostly kept
    label_logprob: false,
    log_z: normalisation === 'softmax' ? set.log_z : [],
  };
}

function draft(
  config: BuildSettings,
  { codec, sparsifier }: Rules,
  { name, revision, source, reports }: TargetSet['teacher'],
): TargetSet {
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

/** What the samples are made of. */
export function draftInputs(
  { format }: BuildSettings,
  { vision, responses }: Source,
): SnapshotInputs {
  const parquet = format === 'parquet' ? ['parquet'] : [];
  const features = responses === undefined ? parquet : [...parquet, 'responses'];
  if (vision === undefined) return { features, kind: 'text', augmentation_pipeline: null };
  const input_fields = [...vision.fields];
  return { features, kind: 'vision', augmentation_pipeline: vision.pipeline, input_fields };
}
