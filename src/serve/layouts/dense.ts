/** Layout `dense`: padded arrays [rows, L, k] in rank order, ready to be a tensor. */
import type { BatchRequest } from '../../../schemas/batch.ts';
import type { TargetSet } from '../../../schemas/manifest.ts';
import { type Ranked, ranked } from '../../encode/ranked.ts';
import { labelSpaceIn, openCodec } from '../../encode/table.ts';
import { LogitcaskError } from '../../errors.ts';
import { fromFloat16, toFloat16 } from '../../formats/float16.ts';
import { bytesOf, type ColumnType, primitive } from '../../formats/layout.ts';
import { type FillOptions, fillRow, type Temperature } from './dense-row.ts';
import { type InputPart, paddedPart } from './inputs.ts';
import type { CellColumn, Layout, StoredSample, View, ViewOptions } from './layout.ts';

export const dense: Layout = {
  name: 'dense',
  setsMax: 1,
  compressed: false,
  accepts: () => true,
  view(options) {
    const { request, sets, manifest } = options;
    const set = sets.at(0);
    const inputs = paddedPart(options);
    if (set === undefined) return inputsAlone(inputs);
    const k = request.k ?? set.sparsifier.entries_max;
    const labelSpace = labelSpaceIn(set, manifest.label_space);
    const vocabulary = request.vocab_size ?? labelSpace.size;
    const temperature = temperatureOf(set, request);
    const codec = Object.keys(openCodec(set, labelSpace).columns);
    const label = set.label_logprob ? [`${set.name}_label_logprob`] : [];
    const reads = [...inputs.reads, ...codec.map((suffix) => `${set.name}_${suffix}`), ...label];
    if (temperature.column !== undefined) reads.push(temperature.column);
    const { dtype, vocab_size: vocabularyAsked = '' } = request;
    const rank = ranked[set.codec.name];
    const stored = { k, vocabulary, whole: vocabulary >= labelSpace.size };
    return {
      key: `dense ${set.name} ${k} ${dtype} ${request.temperature} ${vocabularyAsked}`,
      reads,
      columns: [...inputs.columns, ...columnsOf(options, k)],
      dense: true,
      temperatureExact: temperature.exact,
      ready(sample) {
        const { positions, cell } = sample;
        const cells = codec.map((suffix) => cell(`${set.name}_${suffix}`));
        const entries = rank(cells, { set, labelSpace, count: positions });
        const { column } = temperature;
        const logZ = column === undefined ? undefined : cell(column);
        const options: FillOptions = {
          k,
          temperature: temperature.of(logZ),
          width: labelSpace.size,
          vocabulary,
        };
        const asStored = options.temperature === undefined && isDense(entries, stored);
        const { arrays, dropped } = asStored
          ? { arrays: entries, dropped: { entries: 0, mass: 0 } }
          : fillRow(entries, options);
        const { ids, logprobs, rest } = arrays;
        const targets: ArrayBufferView[] = [
          ids,
          dtype === 'float16' ? toFloat16(logprobs) : logprobs,
        ];
        if (set.kind === 'scaled') targets.push(rest);
        for (const name of label) targets.push(labelsOf(cell(name)));
        return { positions, cells: [...inputs.cells(sample), ...targets.map(bytesOf)], dropped };
      },
    };
  },
};

/** Hard labels: what there is beside targets. */
const inputsAlone = ({ columns, reads, cells }: InputPart): View => ({
  key: 'dense',
  reads,
  columns,
  dense: true,
  ready: (sample) => ({ positions: sample.positions, cells: cells(sample) }),
});

/** Whether the entries are the arrays asked for already: k of them at every position. */
function isDense({ offsets }: Ranked, { k, whole }: { k: number; whole: boolean }): boolean {
  for (let t = 1; t < offsets.length; t++) if (offsets[t] - offsets[t - 1] !== k) return false;
  return whole;
}

function columnsOf({ sets: [set], request }: ViewOptions, k: number): CellColumn[] {
  const lists = (item: ColumnType): ColumnType => ({ type: 'fixed_list', size: k, item });
  const half = request.dtype === 'float16';
  const none = half
    ? new Uint16Array(k).fill(0xfc00)
    : new Float32Array(k).fill(Number.NEGATIVE_INFINITY);
  const float = primitive(half ? 'float16' : 'float32');
  const padded: CellColumn[] = [
    position(`${set.name}_ids`, lists(primitive('int32')), new Int32Array(k)),
    position(`${set.name}_logprobs`, lists(float), none),
  ];
  const float32 = primitive('float32');
  if (set.kind === 'scaled') {
    padded.push(position(`${set.name}_rest`, float32, Float32Array.of(1)));
  }
  if (set.label_logprob) {
    padded.push(position(`${set.name}_label_logprob`, float32, Float32Array.of(Number.NaN)));
  }
  return padded;
}

function position(name: string, type: ColumnType, fill: ArrayBufferView): CellColumn {
  return { name, per: 'position', type, fill: bytesOf(fill) };
}

/** How the temperature asked for is had: as stored, by a stored log Z, or approximated. */
function temperatureOf(set: TargetSet, { temperature: value }: BatchRequest) {
  const stored = { exact: true, column: undefined, of: (): Temperature | undefined => undefined };
  if (value === set.temperature) return stored;
  if (set.kind !== 'scaled') {
    throw new LogitcaskError(
      'temperature-unsupported',
      `request: target set ${set.name} can be read at temperature ${set.temperature} only`,
      { expected: set.temperature, got: value },
    );
  }
  const index = set.log_z.indexOf(value);
  if (index < 0) return { ...stored, exact: false, of: (): Temperature => ({ value }) };
  const count = set.log_z.length;
  return {
    exact: set.temperature_exact,
    column: `${set.name}_log_z`,
    of: (bytes: Uint8Array | undefined): Temperature => {
      const all = new Float32Array(new Uint8Array(bytes ?? []).buffer);
      return { value, logZ: all.filter((_, i) => i % count === index) };
    },
  };
}

function labelsOf(cell: ReturnType<StoredSample['cell']>): Float32Array {
  return fromFloat16(new Uint16Array(new Uint8Array(cell).buffer));
}
