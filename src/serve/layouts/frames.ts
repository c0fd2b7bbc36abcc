/**
 * Layout `frames`: stored frames are checked and copied through, neither decoded nor compressed.
 */
import { checkFrame } from '../../encode/frame.ts';
import { checkInputs } from '../../encode/input-frame.ts';
import { inputFrame } from '../../shard/inputs.ts';
import { inputPart } from './inputs.ts';
import { type CellColumn, type Layout, scoreColumns } from './layout.ts';

export const frames: Layout = {
  name: 'frames',
  setsMax: Number.POSITIVE_INFINITY,
  compressed: true,
  accepts: ({ codec }) => codec.name === 'planes',
  view({ sets, manifest, stored }) {
    const own = sets.flatMap((set): CellColumn[] => [
      { name: `${set.name}_frame`, per: 'sample', type: { type: 'binary' } },
      ...scoreColumns(set),
    ]);
    const inputs = inputPart({ manifest, stored }, { read: false });
    const columns = [...inputs.columns, ...own];
    const { input_fields: fields = [] } = manifest;
    const reads = columns.map(({ name }) => name);
    return {
      key: `frames ${reads}`,
      reads,
      columns,
      dense: false,
      ready({ positions, cell }) {
        for (const { name } of sets) checkFrame(cell(`${name}_frame`));
        if (inputs.reads.includes(inputFrame)) checkInputs(cell(inputFrame), fields, positions);
        return { positions, cells: reads.map(cell) };
      },
    };
  },
};
