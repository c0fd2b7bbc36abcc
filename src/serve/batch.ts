/** One batch: rows of one or more snapshots in a layout, as a record batch of known length. */
import { LogitcaskError } from '../errors.ts';
import type { ColumnTypes } from '../formats/arrow.ts';
import type { BodyCompression } from '../formats/arrow-compression.ts';
import { batchPieces, streamEnd, type WireColumn } from '../formats/arrow-wire.ts';
import { bytesOf, packBits, primitive } from '../formats/layout.ts';
import type { StepSamples } from '../plan/open-plan.ts';
import type { SnapshotReader } from '../shard/reader.ts';
import { positionsOf, type Rows, wireColumn, wireType } from './assemble.ts';
import type { ServeContext } from './context.ts';
import type { ReadySample, View } from './layouts/layout.ts';
import { type Announced, headOf, type Place } from './metadata.ts';
import type { Prepared } from './prepare.ts';

/** Rows without a stream come from the first one; without `pad` they all have weight 1. */
export type BatchRows = Pick<StepSamples, 'ordinals'> & Partial<StepSamples>;

export interface BatchOptions {
  /** What the request asks of the snapshots, one a stream. */
  readonly prepared: Prepared;
  readonly rows: BatchRows;
  readonly compression?: BodyCompression;
}

/** A record batch and what its stream says of it. */
export interface Batch extends Announced {
  readonly pieces: readonly Uint8Array[];
  readonly bytes: number;
  readonly positions: number;
  /** Time that it took to have the samples ready, in milliseconds. */
  readonly readMs: number;
}

/** A whole stream of one batch. */
export async function buildStream(
  context: ServeContext,
  options: BatchOptions & { readonly place?: Place },
): Promise<Batch> {
  const batch = await buildBatch(context, options);
  const head = headOf(options.prepared, { batch, place: options.place });
  const pieces = [head, ...batch.pieces, streamEnd];
  return { ...batch, pieces, bytes: head.byteLength + batch.bytes + streamEnd.byteLength };
}

/** Errors: `request-invalid`, `*-damaged`, `conflict`. */
export async function buildBatch(
  context: ServeContext,
  { prepared, rows, compression }: BatchOptions,
): Promise<Batch> {
  refuseLarge(context, prepared, rows);
  const started = performance.now();
  const samples = await samplesOf(context, prepared, rows);
  const readMs = performance.now() - started;
  const { view, request } = prepared;
  const spans = rows.segments;
  const lengths = samples.map((_, row) => positionsOf({ samples, spans }, row));
  const longest = lengths.reduce((a, b) => Math.max(a, b), 1);
  const length = request.pad_to ?? longest;
  if (view.dense && longest > length) {
    const ordinal = rows.ordinals[lengths.indexOf(longest)];
    const message = `request: sample ${ordinal} has ${longest} positions, more than pad_to`;
    throw new LogitcaskError('request-invalid', message, { expected: longest, got: length });
  }
  const all = { samples, spans, length };
  refuseHeavy(context, view, all);
  const types = typesOf(prepared, rows, length);
  const columns = ownColumns(rows, all);
  view.columns.forEach(({ name }, i) => {
    columns[name] = wireColumn(view, i, all);
  });
  const count = rows.ordinals.length;
  const pieces = batchPieces(types, columns, { rows: count, compression });
  const bytes = pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
  const dropped = request.vocab_size === undefined ? undefined : droppedOf(samples, lengths);
  const positions = lengths.reduce((sum, n) => sum + n, 0);
  return { types, rows: count, pieces, bytes, positions, readMs, dropped };
}

/** Every row's sample, from the snapshot of its stream. */
export async function samplesOf(
  { ready, integrity }: ServeContext,
  { readers, view, spec }: Prepared,
  { streams, ordinals }: BatchRows,
): Promise<readonly ReadySample[]> {
  if (readers.length === 1) {
    integrity.refuseQuarantined(readers[0].manifest, ordinals);
    return ready.get({ reader: readers[0], view, spec }, ordinals);
  }
  const samples = new Array<ReadySample>(ordinals.length);
  const take = async (reader: SnapshotReader, stream: number) => {
    const own = ordinals.flatMap((_, row) => (streams?.[row] === stream ? [row] : []));
    const wanted = own.map((row) => ordinals[row]);
    integrity.refuseQuarantined(reader.manifest, wanted);
    const found = await ready.get({ reader, view, spec }, wanted);
    own.forEach((row, i) => {
      samples[row] = found[i];
    });
  };
  await Promise.all(readers.map(take));
  return samples;
}

/** Columns that tell rows apart: what they weigh, where they come from, where they lie. */
function ownColumns(
  { ordinals, pad, streams, segments }: BatchRows,
  rows: Rows,
): Record<string, WireColumn> {
  const one = (array: ArrayBufferView) => ({ buffers: [[bytesOf(array)]] });
  const lengths = rows.samples.map((_, row) => positionsOf(rows, row));
  return {
    pad: one(packBits(pad ?? new Uint8Array(ordinals.length))),
    stream: one(new Uint16Array(streams ?? [])),
    length: one(new Int32Array(lengths)),
    ...(segments && {
      pack: one(segments.pack),
      offset: one(segments.offset),
      first_position: one(segments.first),
      sample_positions: one(new Int32Array(rows.samples.map(({ positions }) => positions))),
    }),
  };
}

/** Columns of a batch in order; the same for all batches of a plan that are padded to `length`. */
export function typesOf(
  prepared: Prepared,
  { segments }: Pick<BatchRows, 'segments'>,
  length: number,
): ColumnTypes {
  const key = `${prepared.view.dense ? length : 0} ${segments !== undefined}`;
  let types = prepared.types.get(key);
  if (types === undefined) {
    types = makeTypes(prepared, segments !== undefined, length);
    prepared.types.set(key, types, 1);
  }
  return types;
}

function makeTypes({ view, readers }: Prepared, packed: boolean, length: number): ColumnTypes {
  const [sampleId, ...others] = view.columns.map((column) => [
    column.name,
    wireType(view, column, length),
  ]);
  const ofPacks = ['pack', 'offset', 'first_position', 'sample_positions'];
  const int32 = primitive('int32');
  return Object.fromEntries([
    sampleId,
    ['pad', { type: 'bool' }],
    ...(readers.length > 1 ? [['stream', primitive('uint16')]] : []),
    ...(packed ? ofPacks.map((name) => [name, int32]) : []),
    ...(view.dense ? [['length', int32]] : []),
    ...others,
  ]);
}

/** Judged by the mean length of samples, before anything is read. */
function refuseLarge(
  { config }: ServeContext,
  { readers, view, k }: Prepared,
  { ordinals, streams, segments }: BatchRows,
): void {
  const means = readers.map(({ manifest: { totals } }) => {
    return totals.positions / Math.max(1, totals.samples);
  });
  const held = (row: number) => segments?.positions[row] ?? means[streams?.[row] ?? 0];
  const about = Math.round(ordinals.reduce((sum, _, row) => sum + held(row), 0));
  const { batch_positions_max: positionsMax, reply_bytes_max: bytesMax } = config.limits;
  const entriesMax = view.dense ? Math.floor(bytesMax / (4 * k)) : Number.POSITIVE_INFINITY;
  const most = Math.min(positionsMax, entriesMax);
  if (about <= most) return;
  const message = 'request: the batch would be too large; lower global_batch or raise world';
  throw new LogitcaskError('request-invalid', message, {
    expected: `at most ${most} positions`,
    got: `about ${about} positions`,
  });
}

/** Exact, before anything is put together. */
function refuseHeavy({ config }: ServeContext, view: View, { samples, length }: Rows): void {
  const cells = samples.reduce(
    (sum, sample) => sum + sample.cells.reduce((n, { byteLength }) => n + byteLength, 0),
    0,
  );
  const position = view.columns.reduce((sum, { fill }) => sum + (fill?.byteLength ?? 0), 0);
  const bytes = view.dense ? samples.length * length * position : cells;
  const { reply_bytes_max: most } = config.limits;
  if (bytes <= most) return;
  const message = 'request: the batch would be too large; raise world, or lower k or pad_to';
  throw new LogitcaskError('request-invalid', message, {
    expected: `at most ${most} bytes`,
    got: `${bytes} bytes`,
  });
}

function droppedOf(samples: readonly ReadySample[], lengths: readonly number[]) {
  const positions = lengths.reduce((sum, count) => sum + count, 0);
  const sum = (pick: (sample: ReadySample) => number) =>
    samples.reduce((total, sample) => total + pick(sample), 0);
  return {
    entries: sum(({ dropped }) => dropped?.entries ?? 0),
    meanMass: sum(({ dropped }) => dropped?.mass ?? 0) / Math.max(1, positions),
  };
}
