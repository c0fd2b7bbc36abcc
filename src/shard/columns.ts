/** The columns of a shard, from its kind and target sets: what a row of the format is. */
import type { LabelSpace, Manifest, TargetSet } from '../../schemas/manifest.ts';
import { openCodec } from '../encode/table.ts';
import type { ColumnTypes } from '../formats/arrow.ts';
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

export function shardColumns(
  manifest: Pick<Manifest, 'kind' | 'target_sets' | 'label_space'>,
): ColumnTypes {
  const sets = manifest.target_sets.map((set) => targetColumns(set, manifest.label_space));
  return Object.assign({}, inputs[manifest.kind], ...sets);
}
