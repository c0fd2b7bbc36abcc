/** Samples as JSON: decoded, for people and for languages without Arrow. */
import type { RowColumn } from '../../schemas/http.ts';
import type { InputField, TargetSet } from '../../schemas/manifest.ts';
import { openCodec } from '../encode/table.ts';
import type { Columns } from '../formats/arrow.ts';
import { cellsOf, itemBytes, lengthsOf } from '../formats/cells.ts';
import { fromFloat16 } from '../formats/float16.ts';
import { int32Of, numberArrays, unpackBits } from '../formats/layout.ts';
import { visionInputs } from '../shard/inputs.ts';
import type { SnapshotReader } from '../shard/reader.ts';
import { imageOf } from '../shard/sample-id.ts';
import type { TextOf } from './token-texts.ts';

type JsonRow = Record<string, unknown>;
type Parts = Partial<Record<RowColumn, () => unknown>>;

export interface RowOptions {
  readonly columns: readonly RowColumn[];
  /** Texts of tokens; undefined where the snapshot has no tokenizer. */
  readonly textOf: TextOf | undefined;
}

export async function readJsonRows(
  reader: SnapshotReader,
  ordinals: readonly number[],
  { columns, textOf }: RowOptions,
): Promise<JsonRow[]> {
  const rows: JsonRow[] = [];
  for (const ordinal of ordinals) {
    const stored = await reader.read([ordinal], Object.keys(reader.columns));
    rows.push(jsonRow(reader, { ordinal, stored, columns, textOf }));
  }
  return rows;
}

function jsonRow(
  { manifest }: SnapshotReader,
  { ordinal, stored, columns, textOf }: RowOptions & { ordinal: number; stored: Columns },
): JsonRow {
  const [count] = lengthsOf(stored.mask);
  const sampleId = Buffer.from(stored.sample_id.buffers[0]).toString('hex');
  const parts: Parts = {
    ...(manifest.kind === 'text'
      ? textParts(stored, textOf)
      : imageParts(stored, manifest.input_fields ?? [])),
    mask: () => Array.from(unpackBits(stored.mask.buffers[1], count), (bit) => bit === 1),
    meta: () => JSON.parse(Buffer.from(stored.meta.buffers[1]).toString()),
    targets: () =>
      Object.fromEntries(
        manifest.target_sets.map((set) => [
          set.name,
          jsonTargets(set, stored, { count, labelSpace: manifest.label_space }),
        ]),
      ),
  };
  return {
    ordinal,
    sample_id: sampleId,
    ...Object.fromEntries(
      columns.flatMap((column) => {
        const part = parts[column];
        return part === undefined ? [] : [[column, part()]];
      }),
    ),
  };
}

function textParts({ tokens }: Columns, textOf: RowOptions['textOf']): Parts {
  const ids = int32Of(tokens.buffers[1]);
  return {
    tokens: () => [...ids],
    text: () => (textOf === undefined ? null : Array.from(ids, textOf)),
  };
}

function imageParts(stored: Columns, fields: readonly InputField[]) {
  const { inputRef, values } = visionInputs({ columns: stored, fields }, 0);
  return {
    image: () => imageOf(inputRef),
    inputs: () =>
      Object.fromEntries(fields.map((field, i) => [field.name, numbersOf(field, values[i])])),
  };
}

/** A number a position, or a list of them; uint64 as text, whose last bits JSON would lose. */
function numbersOf({ type, items }: InputField, values: Uint8Array): unknown[] {
  const found: Iterable<number | bigint> = new numberArrays[type](new Uint8Array(values).buffer);
  const flat = Array.from(found, (value) => (typeof value === 'bigint' ? String(value) : value));
  if (items === 1) return flat;
  return Array.from({ length: flat.length / items }, (_, t) => {
    return flat.slice(t * items, (t + 1) * items);
  });
}

function jsonTargets(
  set: TargetSet,
  stored: Columns,
  { count, labelSpace }: { count: number; labelSpace: Parameters<typeof openCodec>[1] },
): JsonRow {
  const codec = openCodec(set, labelSpace);
  const cells = Object.entries(codec.columns).map(([suffix, type]) => {
    const [cell] = cellsOf(stored[`${set.name}_${suffix}`], itemBytes(type));
    return cell;
  });
  const { offsets, ids, probs, rest } = codec.decode(cells, count);
  const label = stored[`${set.name}_label_logprob`]?.buffers[1];
  const logZ = stored[`${set.name}_log_z`]?.buffers[1];
  return {
    counts: Array.from({ length: count }, (_, t) => offsets[t + 1] - offsets[t]),
    ids: [...ids],
    probs: [...probs],
    rest: set.kind === 'scaled' ? [...rest] : null,
    label_logprob:
      label === undefined
        ? null
        : [...fromFloat16(new Uint16Array(new Uint8Array(label).buffer))].map(orNull),
    log_z:
      logZ === undefined ? null : [...new Float32Array(new Uint8Array(logZ).buffer)].map(orNull),
  };
}

/** JSON has no NaN. */
function orNull(value: number): number | null {
  return Number.isNaN(value) ? null : value;
}
