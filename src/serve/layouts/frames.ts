/**
 * Layout `frames`: stored frames are checked and copied through, neither decoded nor compressed.
 */
import { checkFrame } from '../../encode/frame.ts';
import { cellsOf } from '../../formats/cells.ts';
import type { Column, ColumnType } from '../../formats/layout.ts';
import { targetColumns } from '../../shard/columns.ts';
import type { Layout, LayoutInput } from './layout.ts';
import { locate } from './locate.ts';

export const frames: Layout = {
  name: 'frames',
  setsMax: Number.POSITIVE_INFINITY,
  accepts: ({ codec }) => codec.name === 'planes',
  build(input) {
    const { stored, sets, manifest } = input;
    const types: Record<string, ColumnType> = {
      tokens: input.types.tokens,
      mask: input.types.mask,
    };
    for (const set of sets) {
      Object.assign(types, targetColumns(set, manifest.label_space));
      checkFrames(input, stored[`${set.name}_frame`]);
    }
    const columns = Object.fromEntries(Object.keys(types).map((name) => [name, stored[name]]));
    return { types, columns, temperatureExact: true };
  },
};

function checkFrames(input: LayoutInput, column: Column): void {
  cellsOf(column, 1).forEach((frame, row) => {
    locate(input, row, () => checkFrame(frame));
  });
}
