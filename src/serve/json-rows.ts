/** Samples as JSON: decoded, for people and for languages without Arrow. */
import type { RowColumn } from '../../schemas/http.ts';
import type { TargetSet } from '../../schemas/manifest.ts';
import { openCodec } from '../encode/table.ts';
import type { Columns } from '../formats/arrow.ts';
import { cellsOf, itemBytes } from '../formats/cells.ts';
import { fromFloat16 } from '../formats/float16.ts';
import { int32Of, unpackBits } from '../formats/layout.ts';
import type { SnapshotReader } from '../shard/reader.ts';
import type { TextOf } from './token-texts.ts';

type JsonRow = Record<string, unknown>;

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
  const tokens = int32Of(stored.tokens.buffers[1]);
  const sampleId = Buffer.from(stored.sample_id.buffers[0]).toString('hex');
  const parts: Record<RowColumn, () => unknown> = {
    tokens: () => [...tokens],
    mask: () => Array.from(unpackBits(stored.mask.buffers[1], tokens.length), (bit) => bit === 1),
    meta: () => JSON.parse(Buffer.from(stored.meta.buffers[1]).toString()),
    targets: () =>
      Object.fromEntries(
        manifest.target_sets.map((set) => [
          set.name,
          jsonTargets(set, stored, { count: tokens.length, labelSpace: manifest.label_space }),
        ]),
      ),
    text: () => (textOf === undefined ? null : Array.from(tokens, textOf)),
  };
  return {
    ordinal,
    sample_id: sampleId,
    ...Object.fromEntries(columns.map((column) => [column, parts[column]()])),
  };
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
