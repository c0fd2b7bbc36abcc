/** Batches as received: nothing is believed that the stream's own metadata does not confirm. */
import type { BatchTargetSet } from '../../schemas/batch.ts';
import { batchMetadata } from '../../schemas/batch.ts';
import type { DecodedTargets } from '../distribution/targets.ts';
import { dequantise } from '../encode/levels.ts';
import { decodePlanes } from '../encode/planes.ts';
import { LogitcaskError } from '../errors.ts';
import { type Columns, type ColumnTypes, decodeStream } from '../formats/arrow.ts';
import { int32Of } from '../formats/layout.ts';

export interface Batch {
  readonly rows: number;
  readonly types: ColumnTypes;
  readonly columns: Columns;
  readonly metadata: Readonly<Record<string, string>>;
  readonly targetSets: readonly BatchTargetSet[];
  /** Positions of all rows (layouts with ragged tokens), or L × rows (dense). */
  readonly positions: number;
  /** The Arrow stream itself. */
  readonly bytes: Buffer;
  /** Decoded targets of each row, by target set; layout `frames` only. */
  targets(set?: string): DecodedTargets[];
}

/**
 * Parses and checks one batch. Throws `reply-truncated` where rows or batches are missing (a cut
 * Arrow stream parses as a whole one), `conflict` where it is not the batch asked for,
 * `frame-damaged` where a frame fails its checksum.
 */
export function readBatch(bytes: Buffer, asked: Readonly<Record<string, string>> = {}): Batch {
  const { metadata, types, batches } = decodeStream(bytes);
  const parsed = batchMetadata.safeParse(metadata);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0];
    const text = `client: the batch lacks \`${path.join('.')}\` (${message})`;
    throw new LogitcaskError('reply-invalid', text, { expected: path.join('.') });
  }
  const rows = batches.reduce((sum, batch) => sum + Object.values(batch)[0].rows, 0);
  expectEqual('reply-truncated', 'batches', [parsed.data['logitcask.batches'], batches.length]);
  expectEqual('reply-truncated', 'rows', [parsed.data['logitcask.rows'], rows]);
  for (const [key, value] of Object.entries(asked)) {
    expectEqual('conflict', key, [value, metadata[`logitcask.${key}`]]);
  }
  const [columns] = batches;
  const targetSets = JSON.parse(metadata['logitcask.target_sets']) as BatchTargetSet[];
  const { size: width } = JSON.parse(metadata['logitcask.label_space']) as { size: number };
  const frames = new Map<string, DecodedTargets[]>();
  for (const { name } of targetSets) {
    const column = columns[`${name}_frame`];
    if (column === undefined) continue;
    const offsets = int32Of(column.buffers[0]);
    const decoded = Array.from({ length: rows }, (_, row) => {
      const { header, levels } = decodePlanes(
        column.buffers[1].subarray(offsets[row], offsets[row + 1]),
        { width },
      );
      return dequantise(levels, header);
    });
    frames.set(name, decoded);
  }
  return {
    rows,
    types,
    columns,
    metadata,
    targetSets,
    positions: positionsOf(types, columns, rows),
    bytes,
    targets(set = targetSets[0].name) {
      const found = frames.get(set);
      if (found !== undefined) return found;
      const message = `client: the batch holds no frames of target set ${set}; ask for \`frames\``;
      throw new LogitcaskError('request-invalid', message, { got: set });
    },
  };
}

function positionsOf({ tokens }: ColumnTypes, columns: Columns, rows: number): number {
  if (tokens.type === 'fixed_list') return tokens.size * rows;
  return int32Of(columns.tokens.buffers[0])[rows];
}

function expectEqual(
  code: 'reply-truncated' | 'conflict',
  what: string,
  [expected, got]: readonly [unknown, unknown],
): void {
  if (String(expected) === String(got)) return;
  const message = `client: the reply has ${what} ${got} where ${expected} was announced or asked for`;
  throw new LogitcaskError(code, message, { expected, got });
}
