/** What batches hold beside targets: texts as tokens, images as references and position inputs. */
import { decodeInputs } from '../../encode/input-frame.ts';
import { fixedWidth } from '../../formats/layout.ts';
import { inputFrame } from '../../shard/inputs.ts';
import {
  type CellColumn,
  mask,
  type StoredSample,
  sampleColumns,
  type ViewOptions,
} from './layout.ts';

/** Columns of the inputs, and how their cells are had of a sample. */
export interface InputPart {
  readonly columns: readonly CellColumn[];
  readonly reads: readonly string[];
  cells(sample: StoredSample): Uint8Array[];
}

type Options = Pick<ViewOptions, 'manifest' | 'stored'>;

const tokens: CellColumn = { name: 'tokens', per: 'position', type: { type: 'int32' } };
const inputRef: CellColumn = { name: 'input_ref', per: 'sample', type: { type: 'utf8' } };
const frame: CellColumn = { name: inputFrame, per: 'sample', type: { type: 'binary' } };

export const textColumns: readonly CellColumn[] = [...sampleColumns, tokens, mask];

/** As they are stored; `read` makes columns of the frame of position inputs, which others read. */
export function inputPart({ manifest, stored }: Options, { read }: { read: boolean }): InputPart {
  if (manifest.kind === 'text') return copied(textColumns);
  const own = [...sampleColumns, inputRef, mask];
  if (stored[inputFrame] === undefined) return copied([...own, ...fieldColumns(manifest)]);
  if (!read) return copied([...own, frame]);
  const { input_fields: fields = [] } = manifest;
  const others = copied(own);
  return {
    columns: [...own, ...fieldColumns(manifest)],
    reads: [...others.reads, inputFrame],
    cells: (sample) => [
      ...others.cells(sample),
      ...decodeInputs(sample.cell(inputFrame), fields, sample.positions),
    ],
  };
}

export function copied(columns: readonly CellColumn[]): InputPart {
  const reads = columns.map(({ name }) => name);
  return { columns, reads, cells: ({ cell }) => reads.map(cell) };
}

function fieldColumns({ input_fields: fields = [] }: Options['manifest']): CellColumn[] {
  return fields.map(({ name, type, items }) => ({ name, per: 'position', items, type: { type } }));
}

/** The same for layout `dense`: padded, several values a position as a list of fixed length. */
export function paddedPart(options: Options): InputPart {
  const part = inputPart(options, { read: true });
  return { ...part, columns: part.columns.map(padded) };
}

function padded({ items = 1, ...column }: CellColumn): CellColumn {
  if (column.per === 'sample') return column;
  if (column.type.type === 'bool') return { ...column, fill: new Uint8Array(0) };
  const width = fixedWidth(column.type) as number;
  const fill = new Uint8Array(items * width);
  if (items === 1) return { ...column, fill };
  return { ...column, type: { type: 'fixed_list', size: items, item: column.type }, fill };
}
