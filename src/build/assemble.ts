/** Chunks in, rows of a shard out: sparsifies each run of rows and encodes each whole sample. */
import { type Chunk, chunkLabels, type SampleInput } from '../capture/source.ts';
import type { DenseRows, Rows } from '../distribution/rows.ts';
import { joinTargets, type Targets } from '../distribution/targets.ts';
import type { Cell, Codec } from '../encode/codec.ts';
import type { Columns } from '../formats/arrow.ts';
import { canonicalJson } from '../formats/canonical.ts';
import { toFloat16 } from '../formats/float16.ts';
import { bytesOf, type Column, listCell, packBits } from '../formats/layout.ts';
import type { ReferencePicker } from '../shard/reference.ts';
import { textSampleId } from '../shard/sample-id.ts';
import type { ShardRow } from '../shard/writer.ts';
import type { Sparsifier, SparsifyContext } from '../sparsify/sparsifier.ts';

/** Seconds spent, by stage. */
export type StageSeconds = Record<
  'prepare' | 'capture' | 'sparsify' | 'encode' | 'write' | 'finish',
  number
>;

export interface Assembler {
  /** The row, once the chunk that completes its sample is in. */
  add(chunk: Chunk): ShardRow | undefined;
}

export interface AssemblerOptions {
  readonly set: string;
  readonly sparsifier: Sparsifier;
  readonly codec: Codec;
  readonly temperatures: readonly number[];
  readonly labelSpace: Uint8Array;
  readonly reference: { readonly picker: ReferencePicker; readonly sparsifier: Sparsifier };
  readonly seconds: StageSeconds;
  /** Ordinal in the snapshot of the next sample. */
  ordinal: number;
}

export function createAssembler(options: AssemblerOptions): Assembler {
  let parts: Targets[] = [];
  let rows = 0;
  let sampleId: Buffer = Buffer.alloc(0);
  return {
    add({ sample, position, rows: chunk }) {
      if (position === 0) sampleId = textSampleId(options.labelSpace, sample);
      const labels = chunkLabels(sample, position, chunk.count);
      const { temperatures } = options;
      const context = { labels, temperatures, sampleId, position };
      const started = performance.now();
      parts.push(options.sparsifier.sparsify(chunk, context));
      pickReference(options, sample, { rows: chunk, context });
      options.seconds.sparsify += (performance.now() - started) / 1000;
      rows += chunk.count;
      if (rows < sample.tokens.length) return undefined;
      const targets = joinTargets(parts);
      parts = [];
      rows = 0;
      options.ordinal++;
      return encodeRow(options, sample, { targets, sampleId });
    },
  };
}

/** Keeps the exact lists of the positions that the sketch wants; only positions to be learned. */
function pickReference(
  { reference, ordinal }: AssemblerOptions,
  sample: SampleInput,
  { rows, context }: { rows: Rows; context: SparsifyContext },
): void {
  const { sampleId, position, labels } = context;
  for (let i = 0; i < rows.count; i++) {
    if (sample.mask[position + i] === 0) continue;
    const priority = reference.picker.priority(sampleId, position + i);
    if (priority === undefined) continue;
    const exact = reference.sparsifier.sparsify(oneRow(rows, i), {
      labels: labels.subarray(i, i + 1),
      temperatures: [],
      sampleId,
      position: position + i,
    });
    if (exact.ids.length === 0) continue; // the source gives no target here
    reference.picker.add({
      priority,
      ordinal,
      position: position + i,
      label: labels[i],
      labelLogprob: exact.labelLogprob[0],
      tail: exact.rest[0],
      ids: exact.ids,
      logprobs: exact.logprobs,
    });
  }
}

function oneRow(rows: Rows, i: number): Rows {
  if (rows.form === 'dense') {
    const values = rows.values.subarray(i * rows.width, (i + 1) * rows.width);
    return { ...rows, count: 1, values: values as DenseRows['values'] };
  }
  const [from, to] = [rows.offsets[i], rows.offsets[i + 1]];
  return {
    ...rows,
    count: 1,
    offsets: Uint32Array.of(0, to - from),
    ids: rows.ids.subarray(from, to),
    logprobs: rows.logprobs.subarray(from, to),
    tail: rows.tail?.subarray(i, i + 1),
    labelLogprob: rows.labelLogprob?.subarray(i, i + 1),
  };
}

function encodeRow(
  options: AssemblerOptions,
  sample: SampleInput,
  { targets, sampleId }: { targets: Targets; sampleId: Buffer },
): ShardRow {
  const started = performance.now();
  const { set, codec, temperatures } = options;
  const n = sample.tokens.length;
  const meta = Buffer.from(canonicalJson(sample.meta));
  const columns: Record<string, Column> = {
    sample_id: { rows: 1, buffers: [sampleId] },
    tokens: listCell(bytesOf(sample.tokens), n),
    mask: listCell(packBits(sample.mask), n),
    meta: listCell(meta, meta.length),
  };
  const cells = codec.encode(targets);
  Object.keys(codec.columns).forEach((suffix, i) => {
    columns[`${set}_${suffix}`] = listCell(bytesOf(cells[i] satisfies Cell), cells[i].length);
  });
  const labels = toFloat16(targets.labelLogprob);
  columns[`${set}_label_logprob`] = listCell(bytesOf(labels), n);
  if (temperatures.length > 0) {
    columns[`${set}_log_z`] = listCell(bytesOf(targets.logZ), targets.logZ.length);
  }
  options.seconds.encode += (performance.now() - started) / 1000;
  return {
    columns: columns satisfies Columns,
    sampleId,
    positions: n,
    learned: sample.mask.reduce((sum, flag) => sum + flag, 0),
    entries: targets.ids.length,
  };
}
