/** Layout `plain`: lists of counts, ids and levels that any Arrow reader understands. */
import type { TargetSet } from '../../../schemas/manifest.ts';
import { plainCells, plainColumns } from '../../encode/plain.ts';
import { decodePlanes } from '../../encode/planes.ts';
import type { Columns } from '../../formats/arrow.ts';
import { cellsOf } from '../../formats/cells.ts';
import {
  bytesOf,
  type Column,
  type ColumnType,
  concatColumns,
  listCell,
} from '../../formats/layout.ts';
import { targetColumns } from '../../shard/columns.ts';
import type { Layout, LayoutInput } from './layout.ts';
import { locate } from './locate.ts';

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
  const own = Object.entries(plainColumns(set.kind));
  const parts: Column[][] = own.map(() => []);
  cellsOf(input.stored[`${set.name}_frame`], 1).forEach((frame, row) => {
    const { levels } = locate(input, row, () => decodePlanes(frame, { width }));
    plainCells(levels).forEach((cell, i) => {
      parts[i].push(listCell(bytesOf(cell), cell.length));
    });
  });
  const columns: Record<string, Column> = {};
  for (const [i, [suffix, type]] of own.entries()) {
    types[`${set.name}_${suffix}`] = type;
    columns[`${set.name}_${suffix}`] = concatColumns(type, parts[i]);
  }
  return columns;
}
