/** One row of a shard in the codecs of another container; the integers stay what they are. */
import type { ContainerName } from '../../schemas/common.ts';
import type { LabelSpace, Manifest, TargetSet } from '../../schemas/manifest.ts';
import type { Cell } from '../encode/codec.ts';
import type { Compression } from '../encode/compression.ts';
import { plainCells } from '../encode/plain.ts';
import { encodePlanes } from '../encode/planes.ts';
import { gridOf, levelsOf } from '../encode/stored-levels.ts';
import { labelSpaceIn, openCodec } from '../encode/table.ts';
import type { Columns } from '../formats/arrow.ts';
import { cellsOf, itemBytes, lengthsOf } from '../formats/cells.ts';
import { bytesOf, type Column, listCell, unpackBits } from '../formats/layout.ts';
import { fieldCells, fieldTypes, visionInputs } from '../shard/inputs.ts';
import type { SnapshotReader } from '../shard/reader.ts';
import type { ShardRow } from '../shard/writer.ts';

export interface CodecChoice {
  readonly format: ContainerName;
  /** Of frames. */
  readonly compression: Compression;
}

type Codec = TargetSet['codec'];

/** `raw` stays; levels are frames in Arrow and columns in Parquet. */
export function codecIn({ codec }: TargetSet, { format, compression }: CodecChoice): Codec {
  if (codec.name === 'raw') return codec;
  const { compression: _, ...grid } = codec.parameters;
  return format === 'parquet'
    ? { name: 'plain', parameters: grid }
    : { name: 'planes', parameters: { ...grid, compression } };
}

/** What is converted: all columns of a sample at a time. */
export interface RowSource {
  readonly manifest: Manifest;
  read(ordinal: number): Promise<Columns>;
}

export function rowsOf(reader: SnapshotReader): RowSource {
  const names = Object.keys(reader.columns);
  return { manifest: reader.manifest, read: (ordinal) => reader.read([ordinal], names) };
}

export interface ConvertedRow extends ShardRow {
  /** Of each target set. */
  readonly setEntries: readonly number[];
}

export async function convertRow(
  { manifest, read }: RowSource,
  ordinal: number,
  choice: CodecChoice,
): Promise<ConvertedRow> {
  const stored = await read(ordinal);
  const { target_sets: sets, label_space: labelSpace } = manifest;
  const [positions] = lengthsOf(stored.mask);
  const columns: Record<string, Column> = { ...stored };
  const setEntries: number[] = [];
  for (const set of sets) {
    const converted = convertSet(stored, set, { labelSpace, positions, choice });
    for (const suffix of Object.keys(openCodec(set, labelSpace).columns)) {
      delete columns[`${set.name}_${suffix}`];
    }
    Object.assign(columns, converted.columns);
    setEntries.push(converted.entries);
  }
  if (manifest.kind === 'vision') convertInputs(columns, manifest, { positions, choice });
  const learned = unpackBits(stored.mask.buffers[1], positions).reduce((sum, bit) => sum + bit, 0);
  const entries = setEntries.reduce((sum, own) => sum + own, 0);
  return {
    columns,
    sampleId: stored.sample_id.buffers[0],
    positions,
    learned,
    entries,
    setEntries,
  };
}

/** Position inputs: a frame in Arrow, columns in Parquet. */
function convertInputs(
  columns: Record<string, Column>,
  manifest: Manifest,
  { positions, choice }: Omit<SetOptions, 'labelSpace'>,
): void {
  const { input_fields = [] } = manifest;
  const { values } = visionInputs({ columns, fields: input_fields }, 0);
  for (const name of Object.keys(fieldTypes(manifest))) delete columns[name];
  const features = choice.format === 'parquet' ? ['parquet'] : [];
  Object.assign(columns, fieldCells({ input_fields, features }, values, positions));
}

interface SetOptions {
  readonly labelSpace: LabelSpace;
  readonly positions: number;
  readonly choice: CodecChoice;
}

function convertSet(
  stored: Columns,
  set: TargetSet,
  { labelSpace, positions: count, choice }: SetOptions,
): { columns: Columns; entries: number } {
  const { columns } = openCodec(set, labelSpace);
  const cells = Object.entries(columns).map(([suffix, type]) => {
    return cellsOf(stored[`${set.name}_${suffix}`], itemBytes(type))[0];
  });
  if (set.codec.name === 'raw') {
    const { ids } = openCodec(set, labelSpace).decode(cells, count);
    const own = Object.keys(columns).map((suffix) => `${set.name}_${suffix}`);
    return { columns: pick(stored, own), entries: ids.length };
  }
  const codec = codecIn(set, choice);
  const levels = levelsOf(set, cells, { width: labelSpaceIn(set, labelSpace).size, count });
  const grid = gridOf(codec);
  const made: Cell[] =
    codec.name === 'plain'
      ? plainCells(levels)
      : [encodePlanes(levels, { ...grid, compression: choice.compression })];
  const suffixes = Object.keys(openCodec({ ...set, codec }, labelSpace).columns);
  const named = suffixes.map((suffix, i) => {
    return [`${set.name}_${suffix}`, listCell(bytesOf(made[i]), made[i].length)];
  });
  return { columns: Object.fromEntries(named), entries: levels.ids.length };
}

function pick(columns: Columns, names: readonly string[]): Columns {
  return Object.fromEntries(names.map((name) => [name, columns[name]]));
}
