/** Batches as received: nothing is believed that the stream's own metadata does not confirm. */
import type { BatchTargetSet } from '../../schemas/batch.ts';
import { batchMetadata } from '../../schemas/batch.ts';
import type { LabelSpace } from '../../schemas/manifest.ts';
import { type DecodedTargets, selectPositions } from '../distribution/targets.ts';
import { checkFrame } from '../encode/frame.ts';
import { decodeFrame } from '../encode/planes.ts';
import { checkedPositions } from '../encode/planes-block.ts';
import { createCodec } from '../encode/table.ts';
import { LogitcaskError } from '../errors.ts';
import { type Columns, type ColumnTypes, decodeStream } from '../formats/arrow.ts';
import { cellsOf, itemBytes, lengthsOf } from '../formats/cells.ts';
import { type Column, int32Of, unpackBits } from '../formats/layout.ts';
import { labelSpaceDigest, sampleIdBytes, textSampleId } from '../shard/sample-id.ts';

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
  /**
   * Targets of one set, the first by default: of each row at all positions, or at those given for
   * the row. Layouts `frames`, decoded when asked for (throws `frame-damaged`), and `plain`.
   */
  targets(set?: string, positions?: readonly ArrayLike<number>[]): DecodedTargets[];
}

/**
 * Parses and checks one batch. Throws `reply-truncated` where rows or batches are missing (a cut
 * Arrow stream parses as a whole one), `conflict` where it is not the batch asked for,
 * `frame-damaged` where a frame fails its checksum, `reply-invalid` where tokens and mask do not
 * have
 * the sample id that came with them.
 */
export function readBatch(
  bytes: Buffer,
  asked: Readonly<Record<string, string | number>> = {},
): Batch {
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
  const labelSpace = JSON.parse(metadata['logitcask.label_space']) as LabelSpace;
  const { size: width } = labelSpace;
  checkSampleIds(types, columns, { rows, labelSpace });
  const decoders = new Map<string, RowDecoder[]>();
  if (metadata['logitcask.layout'] !== 'dense') {
    for (const set of targetSets) decoders.set(set.name, decodersOf(columns, set, width));
  }
  return {
    rows,
    types,
    columns,
    metadata,
    targetSets,
    positions: positionsOf(types, columns, rows),
    bytes,
    targets(set = targetSets[0].name, positions) {
      const found = decoders.get(set);
      if (found !== undefined) return found.map((decode, row) => decode(positions?.[row]));
      const message = `client: no targets of set ${set} to decode; ask for \`frames\` or \`plain\``;
      throw new LogitcaskError('request-invalid', message, { got: set });
    },
  };
}

type RowDecoder = (positions?: ArrayLike<number>) => DecodedTargets;

/**
 * What decodes each row: its frame, whose checksum is checked now, or the columns of codecs `plain`
 * and `raw`, which are decoded now, as nothing else proves them.
 */
function decodersOf(columns: Columns, set: BatchTargetSet, width: number): RowDecoder[] {
  const { name, kind, step, tau } = set;
  const frames = columns[`${name}_frame`];
  if (frames !== undefined) {
    return cellsOf(frames, 1).map((frame) => {
      checkFrame(frame);
      return (positions) => decodeFrame(frame, { width, positions });
    });
  }
  const counts = lengthsOf(columns.mask);
  const parameters = { step: step ?? 0, tau: tau ?? 0 };
  const codec = createCodec(set.codec === 'raw' ? 'raw' : 'plain', { kind, width }, parameters);
  const cells = Object.entries(codec.columns).map(([suffix, type]) =>
    cellsOf(columnOf(columns, `${name}_${suffix}`), itemBytes(type)),
  );
  return counts.map((count, row) => {
    const own = cells.map((column) => column[row]);
    const whole = codec.decode(own, count);
    return (positions) =>
      positions === undefined ? whole : selectPositions(whole, checkedPositions(positions, count));
  });
}

function columnOf(columns: Columns, name: string): Column {
  const column = columns[name];
  if (column !== undefined) return column;
  throw new LogitcaskError('reply-invalid', `client: the batch lacks the column \`${name}\``, {
    expected: name,
    got: Object.keys(columns),
  });
}

/** Content addresses prove what no frame's checksum covers. */
function checkSampleIds(
  types: ColumnTypes,
  { sample_id, tokens, mask, length }: Columns,
  { rows, labelSpace }: { rows: number; labelSpace: LabelSpace },
): void {
  const fixed = types.tokens.type === 'fixed_list' ? types.tokens.size : undefined;
  const starts = fixed === undefined ? int32Of(tokens.buffers[0]) : undefined;
  const lengths = fixed === undefined ? undefined : int32Of(length.buffers[0]);
  const ids = int32Of(tokens.buffers[starts === undefined ? 0 : 1]);
  const learned = unpackBits(mask.buffers[starts === undefined ? 0 : 1], ids.length);
  const digest = labelSpaceDigest(labelSpace);
  for (let row = 0; row < rows; row++) {
    const from = starts?.[row] ?? row * fixed!;
    const to = starts?.[row + 1] ?? from + lengths![row];
    const sample = { tokens: ids.subarray(from, to), mask: learned.subarray(from, to) };
    const stated = sample_id.buffers[0].subarray(row * sampleIdBytes, (row + 1) * sampleIdBytes);
    if (textSampleId(digest, sample).equals(stated)) continue;
    const text = `client: tokens or mask of row ${row} have another sample id than came with them`;
    throw new LogitcaskError('reply-invalid', text, {
      expected: Buffer.from(stated).toString('hex'),
    });
  }
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
  const message = `client: the reply has ${what} ${got}, not ${expected} as announced or asked for`;
  throw new LogitcaskError(code, message, { expected, got });
}
