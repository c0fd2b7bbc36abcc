/** Several teachers' targets of the same samples, as rows of one snapshot: matched by sample id. */
import type { Manifest, TargetSet } from '../../schemas/manifest.ts';
import { openCodec } from '../encode/table.ts';
import { LogitcaskError } from '../errors.ts';
import type { Columns } from '../formats/arrow.ts';
import { canonicalJson } from '../formats/canonical.ts';
import { lengthsOf } from '../formats/cells.ts';
import { toFloat16 } from '../formats/float16.ts';
import { bytesOf, type Column, listCell } from '../formats/layout.ts';
import { targetColumns } from '../shard/columns.ts';
import type { SnapshotReader } from '../shard/reader.ts';
import { type RowSource, rowsOf } from './rows.ts';

/**
 * The samples of the first snapshot, with the target sets of all; where another one does not have
 * a sample, its positions hold no target. Throws `conflict` where they do not go together.
 */
export function joinRows(readers: readonly SnapshotReader[]): RowSource {
  const [base, ...others] = readers;
  const target_sets = readers.flatMap(({ manifest }) => manifest.target_sets);
  refuseUnlike(readers, target_sets);
  const rows = rowsOf(base);
  return {
    manifest: { ...base.manifest, target_sets, parent: null },
    async read(ordinal) {
      const columns: Record<string, Column> = { ...(await rows.read(ordinal)) };
      for (const reader of others) Object.assign(columns, await setsOf(reader, columns));
      return columns;
    },
  };
}

function refuseUnlike(readers: readonly SnapshotReader[], sets: readonly TargetSet[]): void {
  const names = sets.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) {
    const message = `join: two snapshots have a target set ${twice}; build one under another name`;
    throw new LogitcaskError('conflict', message, { got: names });
  }
  const like = (one: Manifest) => {
    const { kind, label_space, input_fields, augmentation_pipeline } = one;
    return canonicalJson({ kind, label_space, input_fields, augmentation_pipeline });
  };
  const [expected, ...others] = readers.map(({ manifest }) => like(manifest));
  const got = others.find((one) => one !== expected);
  if (got === undefined) return;
  const message =
    'join: the snapshots are over different tokenizers, vocabularies, classes or inputs';
  throw new LogitcaskError('conflict', message, { expected, got });
}

async function setsOf(reader: SnapshotReader, { sample_id, mask }: Columns): Promise<Columns> {
  const { target_sets, label_space } = reader.manifest;
  const ordinal = await reader.find(sample_id.buffers[0]);
  if (ordinal !== undefined) {
    const names = target_sets.flatMap((set) => Object.keys(targetColumns(set, label_space)));
    return reader.read([ordinal], names);
  }
  const [count] = lengthsOf(mask);
  return Object.assign({}, ...target_sets.map((set) => empty(set, { reader, count })));
}

/** Cells of a set that holds nothing at `count` positions. */
function empty(
  set: TargetSet,
  { reader, count }: { reader: SnapshotReader; count: number },
): Columns {
  const codec = openCodec(set, reader.manifest.label_space);
  const unknown = (length: number) => new Float32Array(length).fill(Number.NaN);
  const labelLogprob = unknown(count);
  const logZ = unknown(count * set.log_z.length);
  const cells = codec.encode({
    kind: set.kind,
    count,
    offsets: new Uint32Array(count + 1),
    ids: new Uint32Array(0),
    logprobs: new Float32Array(0),
    rest: new Float32Array(set.kind === 'scaled' ? count : 0).fill(1),
    labelLogprob,
    logZ,
  });
  const columns: Record<string, Column> = {};
  for (const [i, suffix] of Object.keys(codec.columns).entries()) {
    columns[`${set.name}_${suffix}`] = listCell(bytesOf(cells[i]), cells[i].length);
  }
  if (set.label_logprob) {
    columns[`${set.name}_label_logprob`] = listCell(bytesOf(toFloat16(labelLogprob)), count);
  }
  if (set.log_z.length > 0) columns[`${set.name}_log_z`] = listCell(bytesOf(logZ), logZ.length);
  return columns;
}
