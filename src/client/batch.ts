/** Batches as received: nothing is believed that the stream's own metadata does not confirm. */
import { type BatchTargetSet, batchMetadata, batchTargetSets } from '../../schemas/batch.ts';
import { type InputField, inputFields, labelSpace } from '../../schemas/manifest.ts';
import { type DecodedTargets, selectPositions } from '../distribution/targets.ts';
import { checkFrame, damaged } from '../encode/frame.ts';
import { decodeFrame } from '../encode/planes.ts';
import { checkedPositions } from '../encode/planes-block.ts';
import { createCodec } from '../encode/table.ts';
import { LogitcaskError } from '../errors.ts';
import type { Columns, ColumnTypes } from '../formats/arrow.ts';
import { readStream, type StreamSchema } from '../formats/arrow-read.ts';
import { cellsOf, itemBytes, lengthsOf } from '../formats/cells.ts';
import { type ColumnType, int32Of, list, primitive } from '../formats/layout.ts';
import { inputFrame } from '../shard/inputs.ts';
import { labelSpaceDigest, sampleIdBytes, type VisionSpace } from '../shard/sample-id.ts';
import {
  checkImages,
  checkLengths,
  checkSampleIds,
  type Received,
  type Spans,
} from './sample-ids.ts';

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

type Asked = Readonly<Record<string, string | number>>;

/**
 * Parses and checks one batch. Throws `reply-truncated` where rows or batches are missing (a cut
 * Arrow stream parses as a whole one), `conflict` where it is not the batch asked for,
 * `frame-damaged` where a frame fails its checksum, `reply-invalid` where tokens and mask of a
 * whole sample do not have the sample id that came with them.
 */
export function readBatch(bytes: Buffer, asked: Asked = {}): Batch {
  const { batches, ...schema } = readStream(bytes);
  const announced = checkAnnounced(schema, asked);
  const rows = batches.reduce((sum, batch) => sum + rowsOf(batch), 0);
  expectEqual('reply-truncated', 'batches', [announced.batches, batches.length]);
  expectEqual('reply-truncated', 'rows', [announced.rows, rows]);
  return openBatch(schema, batches[0], bytes);
}

/** What a stream says will come. Throws `reply-invalid`, `conflict`. */
export function checkAnnounced(
  { metadata }: StreamSchema,
  asked: Asked,
): { batches: number; rows: number } {
  const parsed = batchMetadata.safeParse(metadata);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0];
    const text = `client: the batch lacks \`${path.join('.')}\` (${message})`;
    throw new LogitcaskError('reply-invalid', text, { expected: path.join('.') });
  }
  for (const [key, value] of Object.entries(asked)) {
    expectEqual('conflict', key, [value, metadata[`logitcask.${key}`]]);
  }
  const { 'logitcask.batches': batches, 'logitcask.rows': rows } = parsed.data;
  return { batches: Number(batches), rows: Number(rows) };
}

/** Every column of a batch has the same number. */
export function rowsOf(columns: Columns): number {
  return Object.values(columns)[0]?.rows ?? 0;
}

/** One record batch, every check of its rows made. */
export function openBatch(
  { types, metadata }: StreamSchema,
  columns: Columns,
  bytes: Buffer,
): Batch {
  const rows = rowsOf(columns);
  const targetSets = metadataJson(batchTargetSets, metadata, 'target_sets');
  const space = metadataJson(labelSpace, metadata, 'label_space');
  const vision = visionOf(metadata);
  checkTypes(types, vision?.fields);
  const received: Received = { types, columns, rows, spans: spansOf(columns) };
  checkLengths(received);
  if (vision === undefined) checkSampleIds(received, space);
  else checkImages(received, { ...vision, labelSpace: labelSpaceDigest(space) });
  const decoders = new Map<string, RowDecoder[]>();
  if (metadata['logitcask.layout'] !== 'dense') {
    for (const set of targetSets)
      decoders.set(set.name, decodersOf(received, set, (set.label_space ?? space).size));
  }
  return {
    rows,
    types,
    columns,
    metadata,
    targetSets,
    positions: positionsOf(received),
    bytes,
    targets(set = targetSets[0]?.name, positions) {
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
function decodersOf(
  { types, columns, spans }: Received,
  set: BatchTargetSet,
  width: number,
): RowDecoder[] {
  const { name, kind, step, tau } = set;
  const counts = lengthsOf(columns.mask);
  if (columns[`${name}_frame`] !== undefined) {
    expectType(types, `${name}_frame`, { type: 'binary' });
    return cellsOf(columns[`${name}_frame`], 1).map((frame, row) => {
      const { positions: whole } = checkFrame(frame);
      const first = spans?.first[row] ?? 0;
      const expected = spans?.samples[row] ?? counts[row];
      if (whole !== expected) throw damaged('it holds other positions', expected, whole);
      if (counts[row] === whole) return (positions) => decodeFrame(frame, { width, positions });
      const all = Array.from({ length: counts[row] }, (_, t) => t);
      return (positions = all) => {
        const own = checkedPositions(positions, counts[row]).map((t) => first + t);
        return decodeFrame(frame, { width, positions: own });
      };
    });
  }
  const parameters = { step: step ?? 0, tau: tau ?? 0 };
  const codec = createCodec(set.codec === 'raw' ? 'raw' : 'plain', { kind, width }, parameters);
  const cells = Object.entries(codec.columns).map(([suffix, type]) => {
    expectType(types, `${name}_${suffix}`, type);
    return cellsOf(columns[`${name}_${suffix}`], itemBytes(type));
  });
  return counts.map((count, row) => {
    const own = cells.map((column) => column[row]);
    const whole = codec.decode(own, count);
    return (positions) =>
      positions === undefined ? whole : selectPositions(whole, checkedPositions(positions, count));
  });
}

function expectType(types: ColumnTypes, name: string, expected: ColumnType): void {
  const got = types[name];
  if (JSON.stringify(got) === JSON.stringify(expected)) return;
  throw new LogitcaskError('reply-invalid', `client: column \`${name}\` has another type`, {
    expected,
    got: got ?? 'no such column',
  });
}

/** Types of the columns that are read here, so that what follows need not look. */
function checkTypes(types: ColumnTypes, fields: readonly InputField[] | undefined): void {
  const { mask } = types;
  const dense = mask?.type === 'fixed_list' ? mask.size : undefined;
  const lists = (item: ColumnType): ColumnType =>
    dense === undefined ? list(item) : { type: 'fixed_list', size: dense, item };
  expectType(types, 'sample_id', { type: 'fixed_binary', size: sampleIdBytes });
  expectType(types, 'mask', lists({ type: 'bool' }));
  if (dense !== undefined) expectType(types, 'length', primitive('int32'));
  if (fields === undefined) expectType(types, 'tokens', lists(primitive('int32')));
  else {
    expectType(types, 'input_ref', { type: 'utf8' });
    const framed = types[inputFrame] !== undefined;
    if (framed) expectType(types, inputFrame, { type: 'binary' });
    for (const { name, type, items } of framed ? [] : fields) {
      const item = primitive(type);
      const flat = dense === undefined || items === 1;
      expectType(types, name, lists(flat ? item : { type: 'fixed_list', size: items, item }));
    }
  }
  if (types.first_position === undefined) return;
  expectType(types, 'first_position', primitive('int32'));
  expectType(types, 'sample_positions', primitive('int32'));
}

function spansOf({ first_position: first, sample_positions: samples }: Columns): Spans | undefined {
  if (first === undefined) return undefined;
  return { first: int32Of(first.buffers[0]), samples: int32Of(samples.buffers[0]) };
}

/** What a batch says of images, or undefined where it holds texts. */
function visionOf(
  metadata: Readonly<Record<string, string>>,
): Omit<VisionSpace, 'labelSpace'> | undefined {
  if (metadata['logitcask.kind'] === undefined) return undefined;
  const fields = metadataJson(inputFields, metadata, 'input_fields');
  return { fields, pipeline: metadata['logitcask.augmentation_pipeline'] ?? null };
}

function positionsOf({ types, columns, rows }: Received): number {
  if (types.mask.type === 'fixed_list') return types.mask.size * rows;
  return int32Of(columns.mask.buffers[0])[rows];
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

function metadataJson<T>(
  schema: { safeParse(value: unknown): { success: boolean; data?: T } },
  metadata: Readonly<Record<string, string>>,
  key: string,
): T {
  const text = metadata[`logitcask.${key}`];
  try {
    const { success, data } = schema.safeParse(JSON.parse(text));
    if (success) return data as T;
  } catch {
    // no JSON: refused below
  }
  const message = `client: \`logitcask.${key}\` does not have the documented form`;
  throw new LogitcaskError('reply-invalid', message, { got: text });
}
