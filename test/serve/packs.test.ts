import { describe, expect, it } from 'vitest';
import { type BatchRequest, batchRequest } from '../../schemas/batch.ts';
import { readBatch } from '../../src/client/batch.ts';
import type { Columns } from '../../src/formats/arrow.ts';
import { int32Of, unpackBits } from '../../src/formats/layout.ts';
import { buildStream } from '../../src/serve/batch.ts';
import type { SnapshotReader } from '../../src/shard/reader.ts';
import { shape } from '../fixtures.ts';
import { useServeContext } from '../support/serve-context.ts';

const served = useServeContext();

const open = (name: 'planes' | 'raw' | 'plain') => served.context.snapshot(name, 'latest');

async function build(
  readers: readonly SnapshotReader[],
  rows: Parameters<typeof buildStream>[1]['rows'],
  asked: Partial<BatchRequest> = {},
) {
  const prepared = served.context.prepared(readers, batchRequest.parse(asked));
  return readBatch(Buffer.concat((await buildStream(served.context, { prepared, rows })).pieces));
}

/** Samples of 32 positions, the last (100) of 13, in packs of 40: 4 whole, 7 and 9 split. */
const packed = {
  ordinals: [4, 7, 7, 100, 9],
  segments: {
    pack: Int32Array.of(0, 0, 1, 1, 1),
    offset: Int32Array.of(0, 32, 0, 24, 37),
    first: Int32Array.of(0, 0, 8, 0, 0),
    positions: Int32Array.of(32, 8, 24, 13, 3),
  },
};
const rows = packed.ordinals.length;
const { first, positions } = packed.segments;
const whole = [true, false, false, true, false];

const int32 = (columns: Columns, name: string) => [...int32Of(columns[name].buffers[0])];

/** Values of a row of a list column. */
function listOf(columns: Columns, name: string, row: number): Uint8Array {
  const offsets = int32Of(columns[name].buffers[0]);
  const width = columns[name].buffers[1].length / Math.max(1, offsets.at(-1) ?? 0);
  return columns[name].buffers[1].subarray(offsets[row] * width, offsets[row + 1] * width);
}

function maskOf(columns: Columns, row: number): number[] {
  const offsets = int32Of(columns.mask.buffers[0]);
  const bits = unpackBits(columns.mask.buffers[1], offsets.at(-1) ?? 0);
  return [...bits.subarray(offsets[row], offsets[row + 1])];
}

describe.each([
  ['frames', 'planes'],
  ['plain', 'planes'],
  ['plain', 'plain'],
  ['plain', 'raw'],
] as const)('packs in layout %s of %s', (layout, dataset) => {
  it('are parts of samples, targets aligned at every position', async () => {
    const reader = await open(dataset);
    const parts = await build([reader], packed, { layout });
    const samples = await build([reader], { ordinals: packed.ordinals }, { layout });
    const { columns } = parts;
    expect(int32(columns, 'pack')).toEqual([...packed.segments.pack]);
    expect(int32(columns, 'offset')).toEqual([...packed.segments.offset]);
    expect(int32(columns, 'first_position')).toEqual([...first]);
    expect(int32(columns, 'sample_positions')).toEqual([32, 32, 32, 13, 32]);
    const [own, all] = [parts.targets(), samples.targets()];
    for (let row = 0; row < rows; row++) {
      const [from, to] = [first[row], first[row] + positions[row]];
      const cells = (name: string, width: number) =>
        listOf(samples.columns, name, row).subarray(from * width, to * width);
      expect(listOf(columns, 'tokens', row)).toEqual(cells('tokens', 4));
      expect(listOf(columns, 'teacher_label_logprob', row)).toEqual(
        cells('teacher_label_logprob', 2),
      );
      expect(listOf(columns, 'teacher_log_z', row)).toEqual(cells('teacher_log_z', 4));
      expect(own[row].count).toBe(positions[row]);
      for (let t = 0; t < positions[row]; t++) {
        const [a, b] = [own[row], all[row]];
        const at = [a.offsets[t], a.offsets[t + 1]];
        const in_ = [b.offsets[from + t], b.offsets[from + t + 1]];
        expect(a.ids.subarray(...at)).toEqual(b.ids.subarray(...in_));
        expect(a.probs.subarray(...at)).toEqual(b.probs.subarray(...in_));
        expect(a.rest[t]).toBe(b.rest[from + t]);
      }
      const [learned] = parts
        .targets(
          undefined,
          packed.ordinals.map(() => [1]),
        )
        .slice(row);
      expect(learned.ids).toEqual(own[row].ids.subarray(own[row].offsets[1], own[row].offsets[2]));
    }
  });

  it('do not learn across a seam', async () => {
    const reader = await open(dataset);
    const parts = await build([reader], packed, { layout });
    const samples = await build([reader], { ordinals: packed.ordinals }, { layout });
    for (let row = 0; row < rows; row++) {
      const end = first[row] + positions[row];
      const expected = maskOf(samples.columns, row).slice(first[row], end);
      if (end < samples.targets()[row].count) expected[expected.length - 1] = 0;
      expect(maskOf(parts.columns, row)).toEqual(expected);
    }
  });
});

describe.each(['planes', 'raw'] as const)('packs in layout dense of %s', (dataset) => {
  it('are rows padded to the longest, cut as the lists are', async () => {
    const reader = await open(dataset);
    const asked = { layout: 'dense', dtype: 'float32' } as const;
    const { columns, types } = await build([reader], packed, asked);
    const samples = await build([reader], { ordinals: packed.ordinals }, asked);
    const L = types.tokens.type === 'fixed_list' ? types.tokens.size : 0;
    expect(L).toBe(32);
    expect(int32(columns, 'length')).toEqual([...positions]);
    const width = {
      tokens: 4,
      teacher_ids: 4 * shape.k,
      teacher_logprobs: 4 * shape.k,
      teacher_rest: 4,
    };
    for (const [name, bytes] of Object.entries(width)) {
      for (let row = 0; row < rows; row++) {
        const at = row * L * bytes;
        const own = columns[name].buffers[0].subarray(at, at + positions[row] * bytes);
        const from = at + first[row] * bytes;
        const all = samples.columns[name].buffers[0].subarray(from, from + own.length);
        expect(Buffer.from(own).equals(all)).toBe(true);
      }
    }
    const bits = unpackBits(columns.mask.buffers[0], rows * L);
    for (let row = 0; row < rows; row++) {
      const last = bits[row * L + positions[row] - 1];
      expect(last).toBe(0);
      expect(bits.subarray(row * L + positions[row], (row + 1) * L).every((bit) => bit === 0)).toBe(
        true,
      );
      if (!whole[row]) expect(bits[row * L]).toBe(1);
    }
  });

  it('beyond the end of a sample are refused', async () => {
    const reader = await open(dataset);
    const segments = { ...packed.segments, positions: Int32Array.of(32, 8, 25, 13, 3) };
    const attempt = build([reader], { ...packed, segments }, { layout: 'dense' });
    await expect(attempt).rejects.toMatchObject({ code: 'conflict' });
  });
});

describe('several streams', () => {
  it.each(['frames', 'plain', 'dense'] as const)('are told apart in layout %s', async (layout) => {
    const readers = [await open('planes'), await open('planes')];
    const streams = [1, 0, 1, 0];
    const ordinals = [3, 3, 100, 5];
    const batch = await build(readers, { streams, ordinals }, { layout });
    expect([...new Uint16Array(new Uint8Array(batch.columns.stream.buffers[0]).buffer)]).toEqual(
      streams,
    );
    const alone = await build([readers[0]], { ordinals }, { layout });
    for (const name of Object.keys(alone.columns)) {
      expect(batch.columns[name].buffers).toEqual(alone.columns[name].buffers);
    }
    expect(batch.metadata['logitcask.snapshot']).toBe(`${readers[0].id},${readers[1].id}`);
  });

  it('that cannot be read alike are refused', async () => {
    const planes = await open('planes');
    const [set] = planes.manifest.target_sets;
    const changes = [
      { codec: { ...set.codec, parameters: { ...set.codec.parameters, step: 0.01 } } },
      { kind: 'unbiased' as const },
      { temperature: 2 },
      { label_logprob: false },
    ];
    for (const change of changes) {
      const manifest = { ...planes.manifest, target_sets: [{ ...set, ...change }] };
      const attempt = build([planes, { ...planes, manifest }], { ordinals: [1], streams: [0] });
      await expect(attempt).rejects.toMatchObject({ code: 'conflict', status: 409 });
    }
    const mixed = build(
      [await open('raw'), await open('plain')],
      { ordinals: [1], streams: [0] },
      {
        layout: 'plain',
      },
    );
    await expect(mixed).rejects.toMatchObject({ code: 'conflict' });
  });
});
