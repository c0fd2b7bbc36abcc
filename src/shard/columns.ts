/** The columns of a shard, from its kind and target sets: what a row of the format is. */
import type { LabelSpace, Manifest, TargetSet } from '../../schemas/manifest.ts';
import { openCodec } from '../encode/table.ts';
import type { ColumnTypes } from '../formats/arrow.ts';
import { canonicalJson } from '../formats/canonical.ts';
import { type ColumnType, list, primitive } from '../formats/layout.ts';
import { fieldTypes } from './inputs.ts';
import { sampleIdBytes } from './sample-id.ts';

const inputs: Readonly<Record<Manifest['kind'], (manifest: ShardManifest) => ColumnTypes>> = {
  text: () => ({
    sample_id: { type: 'fixed_binary', size: sampleIdBytes },
    tokens: list(primitive('int32')),
    mask: list({ type: 'bool' }),
    meta: { type: 'utf8' },
  }),
  vision: (manifest) => ({
    sample_id: { type: 'fixed_binary', size: sampleIdBytes },
    input_ref: { type: 'utf8' },
    mask: list({ type: 'bool' }),
    ...fieldTypes(manifest),
    meta: { type: 'utf8' },
  }),
};

/** Columns of one target set, in stored order, under their full names. */
export function targetColumns(set: TargetSet, labelSpace: LabelSpace): ColumnTypes {
  const columns: Record<string, ColumnType> = {};
  for (const [suffix, type] of Object.entries(openCodec(set, labelSpace).columns)) {
    columns[`${set.name}_${suffix}`] = type;
  }
  if (set.label_logprob) columns[`${set.name}_label_logprob`] = list(primitive('float16'));
  if (set.log_z.length > 0) columns[`${set.name}_log_z`] = list(primitive('float32'));
  return columns;
}

type ShardManifest = Pick<Manifest, 'kind' | 'target_sets' | 'label_space' | 'input_fields'> &
  Partial<Pick<Manifest, 'features' | 'augmentation_pipeline'>>;

export function shardColumns(manifest: ShardManifest): ColumnTypes {
  const sets = manifest.target_sets.map((set) => targetColumns(set, manifest.label_space));
  return Object.assign({}, inputs[manifest.kind](manifest), ...sets);
}

/** Columns of the shards, and the schema metadata that says what they hold. */
export function shardSchema(manifest: ShardManifest): {
  types: ColumnTypes;
  metadata: Record<string, string>;
} {
  const sets = manifest.target_sets.map(({ name, kind, codec, log_z, label_space }) => {
    return { name, kind, codec, log_z, label_space };
  });
  return {
    types: shardColumns(manifest),
    metadata: {
      'logitcask.version': '1',
      'logitcask.role': 'shard',
      ...kindMetadata(manifest),
      'logitcask.label_space': canonicalJson(manifest.label_space),
      'logitcask.target_sets': canonicalJson(sets),
    },
  };
}

/** What tells text from vision, in shards and batches. */
export function kindMetadata({
  kind,
  input_fields = [],
  augmentation_pipeline: pipeline = null,
}: Pick<ShardManifest, 'kind' | 'input_fields' | 'augmentation_pipeline'>): Record<string, string> {
  if (kind === 'text') return { 'logitcask.alignment': 'predicts-next' };
  return {
    'logitcask.kind': kind,
    'logitcask.input_fields': canonicalJson(input_fields),
    ...(pipeline !== null && { 'logitcask.augmentation_pipeline': pipeline }),
  };
}
