/** The columns of a shard, from its kind and target sets: what a row of the format is. */
import type { LabelSpace, Manifest, TargetSet } from '../../schemas/manifest.ts';
import { openCodec } from '../encode/table.ts';
import type { ColumnTypes } from '../formats/arrow.ts';
import { canonicalJson } from '../formats/canonical.ts';
import { type ColumnType, list, primitive } from '../formats/layout.ts';
import { sampleIdBytes } from './sample-id.ts';

const inputs: Readonly<Record<Manifest['kind'], ColumnTypes>> = {
  text: {
    sample_id: { type: 'fixed_binary', size: sampleIdBytes },
    tokens: list(primitive('int32')),
    mask: list({ type: 'bool' }),
    meta: { type: 'utf8' },
  },
  vision: {
    sample_id: { type: 'fixed_binary', size: sampleIdBytes },
    input_ref: { type: 'utf8' },
    hard_label: list(primitive('int32')),
    mask: list({ type: 'bool' }),
    augmentation: list({
      type: 'struct',
      members: { seed: primitive('uint64'), params: { type: 'utf8' } },
    }),
    geometry: list({ type: 'fixed_list', size: 4, item: primitive('float32') }),
    meta: { type: 'utf8' },
  },
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

type ShardManifest = Pick<Manifest, 'kind' | 'target_sets' | 'label_space'>;

export function shardColumns(manifest: ShardManifest): ColumnTypes {
  const sets = manifest.target_sets.map((set) => targetColumns(set, manifest.label_space));
  return Object.assign({}, inputs[manifest.kind], ...sets);
}

/** Columns of the shards, and the schema metadata that says what they hold. */
export function shardSchema(manifest: ShardManifest): {
  types: ColumnTypes;
  metadata: Record<string, string>;
} {
  const sets = manifest.target_sets.map(({ name, kind, codec, log_z }) => {
    return { name, kind, codec, log_z };
  });
  return {
    types: shardColumns(manifest),
    metadata: {
      'logitcask.version': '1',
      'logitcask.role': 'shard',
      'logitcask.alignment': 'predicts-next',
      'logitcask.label_space': canonicalJson(manifest.label_space),
      'logitcask.target_sets': canonicalJson(sets),
    },
  };
}
