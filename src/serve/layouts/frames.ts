/**
 * Layout `frames`: stored frames are checked and copied through, neither decoded nor compressed.
 */
import { checkFrame } from '../../encode/frame.ts';
import { type CellColumn, inputColumns, type Layout, scoreColumns } from './layout.ts';

export const frames: Layout = {
  name: 'frames',
  setsMax: Number.POSITIVE_INFINITY,
  compressed: true,
  accepts: ({ codec }) => codec.name === 'planes',
  view({ sets }) {
    const own = sets.flatMap((set): CellColumn[] => [
      { name: `${set.name}_frame`, per: 'sample', type: { type: 'binary' } },
      ...scoreColumns(set),
    ]);
    const columns = [...inputColumns, ...own];
    const reads = columns.map(({ name }) => name);
    return {
      key: `frames ${reads}`,
      reads,
      columns,
      dense: false,
      ready({ positions, cell }) {
        for (const { name } of sets) checkFrame(cell(`${name}_frame`));
        return { positions, cells: reads.map(cell) };
      },
    };
  },
};
