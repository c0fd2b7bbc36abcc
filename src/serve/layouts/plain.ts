/** Layout `plain`: lists of counts, ids and levels that any Arrow reader understands. */
import type { TargetSet } from '../../../schemas/manifest.ts';
import { plainCells, plainColumns } from '../../encode/plain.ts';
import { decodePlanes } from '../../encode/planes.ts';
import { labelSpaceIn, openCodec } from '../../encode/table.ts';
import { bytesOf, type ColumnType } from '../../formats/layout.ts';
import { copied, type InputPart, inputPart } from './inputs.ts';
import { type CellColumn, type Layout, scoreColumns } from './layout.ts';

export const plain: Layout = {
  name: 'plain',
  setsMax: Number.POSITIVE_INFINITY,
  compressed: false,
  accepts: () => true,
  view({ sets, manifest, stored }) {
    const parts = [inputPart({ manifest, stored }, { read: true })];
    for (const set of sets) {
      const { columns } = openCodec(set, manifest.label_space);
      const planes = set.codec.name === 'planes';
      const space = labelSpaceIn(set, manifest.label_space);
      parts.push(planes ? transcoded(set, space) : copied(entries(set, columns)));
      parts.push(copied(scoreColumns(set)));
    }
    const columns = parts.flatMap((part) => part.columns);
    return {
      key: `plain ${columns.map(({ name }) => name)}`,
      reads: parts.flatMap(({ reads }) => reads),
      columns,
      dense: false,
      ready(sample) {
        const { positions } = sample;
        return { positions, cells: parts.flatMap((part) => part.cells(sample)) };
      },
    };
  },
};

/** The list columns of `plain` and `raw`: one item a position, or one an entry. */
function entries(set: TargetSet, types: Readonly<Record<string, ColumnType>>): CellColumn[] {
  return Object.entries(types).map(([suffix, type]): CellColumn => {
    const name = `${set.name}_${suffix}`;
    const item = type.type === 'list' ? type.item : type;
    if (suffix === 'counts' || suffix === 'rest') return { name, per: 'position', type: item };
    return { name, per: 'entry', counts: `${set.name}_counts`, type: item };
  });
}

/** Frames to lists. */
function transcoded(set: TargetSet, { size: width }: { size: number }): InputPart {
  const frame = `${set.name}_frame`;
  return {
    columns: entries(set, plainColumns(set.kind)),
    reads: [frame],
    cells: ({ cell }) => plainCells(decodePlanes(cell(frame), { width }).levels).map(bytesOf),
  };
}
