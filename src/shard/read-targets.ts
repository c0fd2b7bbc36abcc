/** The targets of one sample, decoded, and what else is wanted of it, in one reading. */
import type { TargetSet } from '../../schemas/manifest.ts';
import type { DecodedTargets } from '../distribution/targets.ts';
import { openCodec } from '../encode/table.ts';
import type { Columns } from '../formats/arrow.ts';
import { lengthsOf } from '../formats/cells.ts';
import type { SnapshotReader } from './reader.ts';

export interface SampleTargets {
  readonly targets: DecodedTargets;
  /** The further columns, one row each. */
  readonly columns: Columns;
}

/** Throws `frame-damaged`. */
export async function readTargets(
  reader: SnapshotReader,
  set: TargetSet,
  ordinal: number,
  further: readonly string[] = [],
): Promise<SampleTargets> {
  const codec = openCodec(set, reader.manifest.label_space);
  const names = Object.keys(codec.columns).map((suffix) => `${set.name}_${suffix}`);
  const columns = await reader.read([ordinal], ['mask', ...names, ...further]);
  const [count] = lengthsOf(columns.mask);
  const cells = names.map((name) => columns[name].buffers[1]);
  return { targets: codec.decode(cells, count), columns };
}
