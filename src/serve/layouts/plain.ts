/** Layout `plain`: lists of counts, ids and levels that any Arrow reader understands. */
import type { TargetSet } from '../../../schemas/manifest.ts';
import { decodePlanes } from '../../encode/planes.ts';
import type { Columns } from '../../formats/arrow.ts';
import { cellsOf } from '../../formats/cells.ts';
import {
  bytesOf,
  type Column,
  type ColumnType,
  concatColumns,
  list,
  listCell,
  primitive,
} from '../../formats/layout.ts';
import { targetColumns } from '../../shard/columns.ts';
import type { Layout, LayoutInput } from './layout.ts';
import { locate } from './locate.ts';

const planeTypes = {
  counts: list(primitive('uint32')),
  ids: list(primitive('uint32')),
  levels: list(primitive('uint16')),
  rest: list(primitive('uint16')),
} as const;

export const plain: Layout = {
  name: 'plain',
  setsMax: Number.POSITIVE_INFINITY,
  accepts: () => true,
  build(input) {
    const types: Record<string, ColumnType> = {
      tokens: input.types.tokens,
      mask: input.types.mask,
    };
    const columns: Record<string, Column> = {
      tokens: input.stored.tokens,
      mask: input.stored.mask,
    };
    for (const set of input.sets) {
      for (const [name, type] of Object.entries(targetColumns(set, input.manifest.label_space))) {
        if (name === `${set.name}_frame`) continue;
        types[name] = type;
        columns[name] = input.stored[name];
      }
      if (set.codec.name === 'planes') Object.assign(columns, transcode(input, set, types));
    }
    return { types, columns, temperatureExact: true };
  },
};

/** Frames to lists; adds their types. */
function transcode(input: LayoutInput, set: TargetSet, types: Record<string, ColumnType>): Columns {
  const { size: width } = input.manifest.label_space;
  const names = (Object.keys(planeTypes) as (keyof typeof planeTypes)[]).filter(
    (name) => name !== 'rest' || set.kind === 'scaled',
  );
  const parts: Record<string, Column[]> = Object.fromEntries(names.map((name) => [name, []]));
  cellsOf(input.stored[`${set.name}_frame`], 1).forEach((frame, row) => {
    const { levels } = locate(input, row, () => decodePlanes(frame, { width }));
    for (const name of names)
      parts[name].push(listCell(bytesOf(levels[name]), levels[name].length));
  });
  const columns: Record<string, Column> = {};
  for (const name of names) {
    types[`${set.name}_${name}`] = planeTypes[name];
    columns[`${set.name}_${name}`] = concatColumns(planeTypes[name], parts[name]);
  }
  return columns;
}
