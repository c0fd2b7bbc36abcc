/** Chunks in, rows of a shard out: reduces each run of rows and encodes each whole sample. */

import type { InputField, TargetSet } from '../../schemas/manifest.ts';
import { chunkLabels, type SampleInput, type UnreadChunk } from '../capture/source.ts';
import { joinTargets, type Targets } from '../distribution/targets.ts';
import type { Cell } from '../encode/codec.ts';
import { LogitcaskError } from '../errors.ts';
import type { Columns } from '../formats/arrow.ts';
import { canonicalJson } from '../formats/canonical.ts';
import { toFloat16 } from '../formats/float16.ts';
import { bytesOf, type Column, listCell, packBits } from '../formats/layout.ts';
import { fieldCells } from '../shard/inputs.ts';
import type { ReferencePicker } from '../shard/reference.ts';
import { imageOf } from '../shard/sample-id.ts';
import type { ShardRow } from '../shard/writer.ts';
import type { Pool } from './pool.ts';
import type { Reduced } from './reduce.ts';
import type { Rules } from './rules.ts';
import type { SampleIds } from './sample-ids.ts';

/** Seconds spent, by stage. */
export type StageSeconds = Record<
  'prepare' | 'capture' | 'sparsify' | 'encode' | 'write' | 'finish',
  number
>;

export interface Assembler {
  /** Begins to reduce a chunk; those begun are then added in the same order. */
  begin(chunk: UnreadChunk): Begun;
  /** The row, once the chunk that completes its sample is in. */
  add(begun: Begun, reduced: Reduced): ShardRow | undefined;
}

/** A chunk on its way. */
export interface Begun {
  readonly chunk: UnreadChunk;
  readonly labels: Int32Array;
  readonly sampleId: Buffer;
  /** Positions for the reference: rows of the chunk, and their priorities. */
  readonly wanted: readonly { row: number; priority: number }[];
  readonly reduced: Promise<Reduced>;
}

export interface AssemblerOptions {
  /** One for each head; without a target set for hard labels alone. */
  readonly heads: readonly { readonly set: TargetSet | undefined; readonly rules: Rules }[];
  readonly pool: Pool;
  readonly idOf: SampleIds;
  /** How the inputs of images are kept. */
  readonly kept: { readonly input_fields?: InputField[]; readonly features: string[] };
  readonly reference: { readonly picker: ReferencePicker; readonly entries: number };
  readonly seconds: StageSeconds;
  /** Ordinal in the snapshot of the next sample. */
  ordinal: number;
}

export function createAssembler(options: AssemblerOptions): Assembler {
  const { heads } = options;
  let parts: Targets[][] = heads.map(() => []);
  let rows = 0;
  let sampleId: Buffer = Buffer.alloc(0);
  return {
    begin(chunk) {
      const { sample, position, head = 0 } = chunk;
      if (position === 0 && head === 0) sampleId = options.idOf(sample);
      const { set, rules } = heads[head];
      const labels = chunkLabels(sample, position, chunk.rows.count);
      if (head > 0) labels.fill(-1); // they are classes of the first one
      const wanted = wantedOf(options, chunk, sampleId);
      const reduced = options.pool.run({
        sparsifier: rules.options,
        rows: chunk.rows,
        context: { labels, temperatures: set?.log_z ?? [], sampleId, position },
        wanted: wanted.map(({ row }) => row),
        entries: options.reference.entries,
      });
      const placed = reduced.catch((error) => {
        throw withPlace(error, chunk, set?.name);
      });
      return { chunk, labels, sampleId, wanted, reduced: placed };
    },
    add(begun, { targets, exact, seconds }) {
      const { sample } = begun.chunk;
      options.seconds.capture += seconds.capture;
      options.seconds.sparsify += seconds.sparsify;
      parts[begun.chunk.head ?? 0].push(targets);
      addReference(options, begun, exact);
      rows += targets.count;
      if (rows < sample.mask.length * heads.length) return undefined;
      const whole = parts.map(joinTargets);
      parts = heads.map(() => []);
      rows = 0;
      options.ordinal++;
      return encodeRow(options, sample, { targets: whole, sampleId: begun.sampleId });
    },
  };
}

/** Threads know of a row that is refused what it holds, but not whose it is. */
function withPlace(error: unknown, { sample, position, rows }: UnreadChunk, set = ''): unknown {
  if (!(error instanceof LogitcaskError) || error.code !== 'row-invalid') return error;
  const { message, expected, got } = error;
  const { ordinal, image } = sample;
  const of = image === undefined ? `sample ${ordinal}` : `image ${imageOf(image.ref).uri}`;
  const last = position + rows.count - 1;
  const where = `${of}, positions ${position} to ${last}${set && ` of ${set}`}`;
  return new LogitcaskError(error.code, `${message} (${where}); correct the teacher's scores`, {
    expected,
    got,
    cause: error,
  });
}

/** The positions that the sketch wants; only positions to be learned. */
function wantedOf(
  { reference }: AssemblerOptions,
  { sample, position, rows }: UnreadChunk,
  sampleId: Buffer,
): Begun['wanted'] {
  const wanted: { row: number; priority: number }[] = [];
  for (let row = 0; row < rows.count; row++) {
    if (sample.mask[position + row] === 0) continue;
    const priority = reference.picker.priority(sampleId, position + row);
    if (priority !== undefined) wanted.push({ row, priority });
  }
  return wanted;
}

/** Keeps the exact lists of the positions that the sketch wanted. */
function addReference(
  { reference, ordinal }: AssemblerOptions,
  { chunk, labels, wanted }: Begun,
  exact: Targets | undefined,
): void {
  if (exact === undefined) return;
  const { offsets, ids, logprobs, rest, labelLogprob } = exact;
  for (const [i, { row, priority }] of wanted.entries()) {
    const [from, to] = [offsets[i], offsets[i + 1]];
    if (from === to) continue; // the source gives no target here
    reference.picker.add({
      priority,
      head: chunk.head ?? 0,
      ordinal,
      position: chunk.position + row,
      label: labels[row],
      labelLogprob: labelLogprob[i],
      tail: rest.at(i) ?? 0,
      ids: ids.slice(from, to), // each of its own: a list that is kept holds no others
      logprobs: logprobs.slice(from, to),
    });
  }
}

function encodeRow(
  options: AssemblerOptions,
  sample: SampleInput,
  { targets, sampleId }: { targets: readonly Targets[]; sampleId: Buffer },
): ShardRow {
  const started = performance.now();
  const n = sample.mask.length;
  const meta = Buffer.from(canonicalJson(sample.meta));
  const columns: Record<string, Column> = {
    sample_id: { rows: 1, buffers: [sampleId] },
    mask: listCell(packBits(sample.mask), n),
    meta: listCell(meta, meta.length),
    ...inputCells(sample, options.kept),
  };
  options.heads.forEach(({ set, rules }, i) => {
    if (set !== undefined) Object.assign(columns, targetCells(set, rules, targets[i]));
  });
  options.seconds.encode += (performance.now() - started) / 1000;
  return {
    columns: columns satisfies Columns,
    sampleId,
    positions: n,
    learned: sample.mask.reduce((sum, flag) => sum + flag, 0),
    entries: targets.reduce((sum, { ids }) => sum + ids.length, 0),
  };
}

/** Tokens, or what there is of an image. */
function inputCells({ tokens, image, mask }: SampleInput, kept: AssemblerOptions['kept']): Columns {
  if (image === undefined) return { tokens: listCell(bytesOf(tokens), tokens.length) };
  const ref = Buffer.from(image.ref);
  const input_ref = listCell(ref, ref.length);
  return { input_ref, ...fieldCells(kept, image.values, mask.length) };
}

function targetCells(
  { name, label_logprob, log_z }: TargetSet,
  { codec }: Rules,
  targets: Targets,
): Record<string, Column> {
  const columns: Record<string, Column> = {};
  const cells = codec.encode(targets);
  Object.keys(codec.columns).forEach((suffix, i) => {
    columns[`${name}_${suffix}`] = listCell(bytesOf(cells[i] satisfies Cell), cells[i].length);
  });
  if (label_logprob) {
    const labels = toFloat16(targets.labelLogprob);
    columns[`${name}_label_logprob`] = listCell(bytesOf(labels), targets.count);
  }
  if (log_z.length > 0) {
    columns[`${name}_log_z`] = listCell(bytesOf(targets.logZ), targets.logZ.length);
  }
  return columns;
}
