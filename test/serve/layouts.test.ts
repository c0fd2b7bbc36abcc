import { afterAll, beforeAll } from 'vitest';
import { dequantise } from '../../src/encode/levels.ts';
import { decodePlanes } from '../../src/encode/planes.ts';
import type { Columns, DecodedStream } from '../../src/formats/arrow.ts';
import { fromFloat16 } from '../../src/formats/float16.ts';
import { int32Of, unpackBits } from '../../src/formats/layout.ts';
import { entriesOf, type SeenRow, testLayout } from '../contracts/layout.ts';
import { makeStore, shape, type TestStore } from '../fixtures.ts';

let made: TestStore;
beforeAll(async () => {
  made = await makeStore();
});
afterAll(() => made.remove());

const aligned = (bytes: Uint8Array) => new Uint8Array(bytes).buffer;

/** Tokens and mask of ragged layouts, and the slice of another list column for each row. */
function ragged(columns: Columns) {
  const starts = int32Of(columns.tokens.buffers[0]);
  const tokens = int32Of(columns.tokens.buffers[1]);
  const mask = unpackBits(columns.mask.buffers[1], tokens.length);
  return Array.from({ length: columns.tokens.rows }, (_, row) => ({
    row,
    tokens: [...tokens.subarray(starts[row], starts[row + 1])],
    mask: [...mask.subarray(starts[row], starts[row + 1])].map((bit) => bit === 1),
    slice(name: string, width: number) {
      const offsets = int32Of(columns[name].buffers[0]);
      return aligned(
        columns[name].buffers[1].subarray(offsets[row] * width, offsets[row + 1] * width),
      );
    },
  }));
}

function seeFrames({ batches }: DecodedStream): SeenRow[] {
  return ragged(batches[0]).map(({ tokens, mask, slice }) => {
    const frame = new Uint8Array(slice('teacher_frame', 1));
    const { header, levels } = decodePlanes(frame, { width: shape.vocabulary });
    const { offsets, ids, probs, rest } = dequantise(levels, header);
    return { tokens, mask, entries: entriesOf(offsets, ids, probs), rest: [...rest] };
  });
}

function offsetsOf(counts: Uint32Array): number[] {
  const offsets = [0];
  for (const count of counts) offsets.push((offsets.at(-1) ?? 0) + count);
  return offsets;
}

/** The formulas of docs/format.md on the lists of `plain`. */
function seePlainLevels({ batches }: DecodedStream): SeenRow[] {
  return ragged(batches[0]).map(({ tokens, mask, slice }) => {
    const offsets = offsetsOf(new Uint32Array(slice('teacher_counts', 4)));
    const ids = new Uint32Array(slice('teacher_ids', 4));
    const levels = new Uint16Array(slice('teacher_levels', 2));
    const stored = new Uint16Array(slice('teacher_rest', 2));
    const rest = [...stored].map((r) => Math.fround(Math.exp(-r / 2048)));
    const probs = new Float64Array(levels.length);
    for (let t = 0; t < rest.length; t++) {
      const own = levels.subarray(offsets[t], offsets[t + 1]);
      const sum = own.reduce((total, level) => total + level * level, 0);
      own.forEach((level, i) => {
        probs[offsets[t] + i] = (level * level * (1 - rest[t])) / sum;
      });
    }
    return { tokens, mask, entries: entriesOf(offsets, ids, probs), rest };
  });
}

function seePlainRaw({ batches }: DecodedStream): SeenRow[] {
  return ragged(batches[0]).map(({ tokens, mask, slice }) => {
    const offsets = offsetsOf(new Uint32Array(slice('teacher_counts', 4)));
    const ids = new Uint32Array(slice('teacher_ids', 4));
    const probs = new Float32Array(slice('teacher_logprobs', 4)).map((logp) => Math.exp(logp));
    const rest = [...new Float32Array(slice('teacher_rest', 4))];
    return { tokens, mask, entries: entriesOf(offsets, ids, probs), rest };
  });
}

function seeDense({ batches, types }: DecodedStream): SeenRow[] {
  const [columns] = batches;
  const logprobs = types.teacher_logprobs;
  if (types.tokens.type !== 'fixed_list' || logprobs.type !== 'fixed_list') throw new Error('type');
  if (logprobs.item.type !== 'fixed_list') throw new Error('type');
  const [L, k] = [types.tokens.size, logprobs.item.size];
  const bytes = (name: string) => aligned(columns[name].buffers[0]);
  const half = logprobs.item.item.type === 'float16';
  const values = half
    ? fromFloat16(new Uint16Array(bytes('teacher_logprobs')))
    : new Float32Array(bytes('teacher_logprobs'));
  const ids = new Int32Array(bytes('teacher_ids'));
  const tokens = new Int32Array(bytes('tokens'));
  const mask = unpackBits(columns.mask.buffers[0], tokens.length);
  const rest = new Float32Array(bytes('teacher_rest'));
  return Array.from(new Int32Array(bytes('length')), (length, row) => {
    const entries = Array.from({ length }, (_, t) => {
      const position = new Map<number, number>();
      for (let i = (row * L + t) * k; i < (row * L + t + 1) * k; i++) {
        if (values[i] > Number.NEGATIVE_INFINITY) position.set(ids[i], Math.exp(values[i]));
      }
      return position;
    });
    return {
      tokens: [...tokens.subarray(row * L, row * L + length)],
      mask: [...mask.subarray(row * L, row * L + length)].map((bit) => bit === 1),
      entries,
      rest: [...rest.subarray(row * L, row * L + length)],
    };
  });
}

testLayout('frames', {
  store: () => made,
  dataset: 'planes',
  request: { layout: 'frames' },
  tolerance: 0,
  see: seeFrames,
});
for (const dataset of ['planes', 'plain', 'parquet'] as const) {
  testLayout(`plain of ${dataset}`, {
    store: () => made,
    dataset,
    request: { layout: 'plain' },
    tolerance: 1e-7,
    see: seePlainLevels,
  });
}
testLayout('plain of raw', {
  store: () => made,
  dataset: 'raw',
  request: { layout: 'plain' },
  tolerance: 1e-7,
  see: seePlainRaw,
});
for (const dataset of ['planes', 'raw', 'plain', 'parquet'] as const) {
  testLayout(`dense float32 of ${dataset}`, {
    store: () => made,
    dataset,
    request: { layout: 'dense', dtype: 'float32' },
    tolerance: 2e-6,
    see: seeDense,
  });
  testLayout(`dense float16 of ${dataset}`, {
    store: () => made,
    dataset,
    request: { layout: 'dense', pad_to: 40 },
    tolerance: 8e-3,
    see: seeDense,
  });
}
