import { describe, expect, it } from 'vitest';
import { type BatchRequest, type BatchTargetSet, batchRequest } from '../../schemas/batch.ts';
import type { Manifest } from '../../schemas/manifest.ts';
import { decodeStream } from '../../src/formats/arrow.ts';
import { fromFloat16 } from '../../src/formats/float16.ts';
import type { SnapshotReader } from '../../src/shard/reader.ts';
import { shape } from '../fixtures.ts';
import { streamOf } from '../support/batches.ts';
import { useServeContext } from '../support/serve-context.ts';

const served = useServeContext();

const { sampleLength, vocabulary } = shape;
const aligned = (bytes: Uint8Array) => new Uint8Array(bytes).buffer;

interface Dense {
  readonly L: number;
  readonly k: number;
  readonly lengths: Int32Array;
  readonly ids: Int32Array;
  readonly logprobs: Float32Array;
  readonly rest: Float32Array;
  readonly label: Float32Array;
  readonly exact: boolean;
}

async function dense(
  dataset: 'planes' | 'raw',
  ordinals: readonly number[],
  asked: Partial<BatchRequest> = {},
): Promise<Dense> {
  const reader = await served.context.snapshot(dataset, 'latest');
  return denseOf(reader, ordinals, asked);
}

async function denseOf(
  reader: SnapshotReader,
  ordinals: readonly number[],
  asked: Partial<BatchRequest>,
): Promise<Dense> {
  const request = batchRequest.parse({ layout: 'dense', dtype: 'float32', ...asked });
  const { types, batches, metadata } = decodeStream(
    await streamOf(served.context, { reader, ordinals, request }),
  );
  const { tokens, teacher_logprobs: logprobs } = types;
  if (tokens.type !== 'fixed_list' || logprobs.type !== 'fixed_list') throw new Error('no lists');
  if (logprobs.item.type !== 'fixed_list') throw new Error('no lists');
  const bytes = (name: string) => aligned(batches[0][name].buffers[0]);
  const [set] = JSON.parse(metadata['logitcask.target_sets']) as BatchTargetSet[];
  return {
    L: tokens.size,
    k: logprobs.item.size,
    lengths: new Int32Array(bytes('length')),
    ids: new Int32Array(bytes('teacher_ids')),
    logprobs:
      request.dtype === 'float16'
        ? fromFloat16(new Uint16Array(bytes('teacher_logprobs')))
        : new Float32Array(bytes('teacher_logprobs')),
    rest: new Float32Array(bytes('teacher_rest')),
    label: new Float32Array(bytes('teacher_label_logprob')),
    exact: set.temperature_exact,
  };
}

/** log softmax at a temperature, from the teacher's logits, in float64. */
function logSoftmax(row: number, temperature = 1): Float64Array {
  const logits = served.made.logits.subarray(row * vocabulary, (row + 1) * vocabulary);
  const scaled = Float64Array.from(logits, (x) => x / temperature);
  const max = scaled.reduce((a, b) => Math.max(a, b));
  const sum = scaled.reduce((total, x) => total + Math.exp(x - max), 0);
  return scaled.map((x) => x - max - Math.log(sum));
}

describe('dense batches', () => {
  it('hold the teacher’s own top k in rank order', async () => {
    const { logprobs, ids, L, k } = await dense('raw', [2]);
    for (let t = 0; t < L; t++) {
      const exact = logSoftmax(2 * sampleLength + t);
      const best = [...exact.keys()].sort((a, b) => exact[b] - exact[a] || a - b).slice(0, k);
      expect([...ids.subarray(t * k, (t + 1) * k)]).toEqual(best);
      best.forEach((id, i) => {
        expect(logprobs[t * k + i]).toBeCloseTo(exact[id], 5);
      });
    }
  });

  it('copy raw float32 log-probs, rests and ids bit for bit', async () => {
    const reader = await served.context.snapshot('raw', 'latest');
    const stored = await reader.read([4, 5], ['teacher_ids', 'teacher_logprobs', 'teacher_rest']);
    const { ids, logprobs, rest } = await dense('raw', [4, 5]);
    const bits = (array: ArrayBufferView) => Buffer.from(array.buffer).toString('hex');
    const hex = (name: string) => Buffer.from(stored[name].buffers[1]).toString('hex');
    expect(bits(ids)).toBe(hex('teacher_ids'));
    expect(bits(logprobs)).toBe(hex('teacher_logprobs'));
    expect(bits(rest)).toBe(hex('teacher_rest'));
  });

  it('pad positions with id 0, −inf, rest 1 and NaN for the label', async () => {
    const { L, k, lengths, ids, logprobs, rest, label } = await dense('planes', [100, 0], {
      pad_to: 48,
    });
    expect([L, k, ...lengths]).toEqual([48, shape.k, 13, 32]);
    const padded = (row: number) => [row * 48 + lengths[row], (row + 1) * 48];
    for (const row of [0, 1]) {
      const [from, to] = padded(row);
      expect(new Set(ids.subarray(from * k, to * k))).toEqual(new Set([0]));
      expect(new Set(logprobs.subarray(from * k, to * k))).toEqual(new Set([-Infinity]));
      expect(new Set(rest.subarray(from, to))).toEqual(new Set([1]));
      expect(label.subarray(from, to).every(Number.isNaN)).toBe(true);
    }
  });

  it('give the label’s own log-prob, NaN where there is no label', async () => {
    const { label } = await dense('planes', [3]);
    for (let t = 0; t + 1 < sampleLength; t++) {
      const row = 3 * sampleLength + t;
      const exact = logSoftmax(row)[served.made.tokens[row + 1]];
      expect(Math.abs(label[t] - exact)).toBeLessThanOrEqual(Math.abs(exact) * 2 ** -10);
    }
  });

  it.each(['planes', 'raw'] as const)('of %s add what k cuts off to the rest', async (dataset) => {
    const whole = await dense(dataset, [1]);
    const cut = await dense(dataset, [1], { k: 3 });
    for (let t = 0; t < sampleLength; t++) {
      let mass = whole.rest[t];
      for (let i = 3; i < shape.k; i++) mass += Math.exp(whole.logprobs[t * shape.k + i]);
      expect(cut.rest[t]).toBeCloseTo(mass, 6);
      const kept = whole.logprobs.subarray(t * shape.k, t * shape.k + 3);
      expect([...cut.logprobs.subarray(t * 3, t * 3 + 3)]).toEqual([...kept]);
    }
  });

  it('leave room where k is more than is stored', async () => {
    const { k, ids, logprobs } = await dense('raw', [0], { k: 20 });
    expect(k).toBe(20);
    expect([...ids.subarray(16, 20)]).toEqual([0, 0, 0, 0]);
    expect(new Set(logprobs.subarray(16, 20))).toEqual(new Set([-Infinity]));
  });

  it('are exact at a temperature whose log Z is stored', async () => {
    const { ids, logprobs, rest, k, exact } = await dense('raw', [6], { temperature: 2 });
    expect(exact).toBe(true);
    for (let t = 0; t < sampleLength; t++) {
      const true2 = logSoftmax(6 * sampleLength + t, 2);
      let left = 1;
      for (let i = t * k; i < (t + 1) * k; i++) {
        expect(logprobs[i]).toBeCloseTo(true2[ids[i]], 5);
        left -= Math.exp(true2[ids[i]]);
      }
      expect(rest[t]).toBeCloseTo(left, 5);
    }
  });

  it('spread the rest evenly at another temperature, and say so', async () => {
    const { logprobs, rest, k, exact } = await dense('planes', [6], { temperature: 3 });
    const one = await dense('planes', [6]);
    expect(exact).toBe(false);
    for (let t = 0; t < sampleLength; t++) {
      const at = (i: number) => Math.exp(one.logprobs[t * k + i]) ** (1 / 3);
      const others = vocabulary - k;
      let z = others * (one.rest[t] / others) ** (1 / 3);
      for (let i = 0; i < k; i++) z += at(i);
      let mass = 0;
      for (let i = 0; i < k; i++) {
        expect(Math.exp(logprobs[t * k + i])).toBeCloseTo(at(i) / z, 6);
        mass += at(i) / z;
      }
      expect(rest[t]).toBeCloseTo(1 - mass, 5);
    }
  });

  it('say that a temperature is approximate where the teacher gave top lists', async () => {
    const reader = await served.context.snapshot('planes', 'latest');
    const listed = withSet(reader, { temperature_exact: false });
    expect((await denseOf(listed, [0], { temperature: 2 })).exact).toBe(false);
    expect((await denseOf(listed, [0], {})).exact).toBe(true);
  });

  it('refuse unbiased targets at another temperature than they were drawn at', async () => {
    const reader = withSet(await served.context.snapshot('planes', 'latest'), { kind: 'unbiased' });
    await expect(denseOf(reader, [0], { temperature: 2 })).rejects.toMatchObject({
      code: 'temperature-unsupported',
      status: 422,
    });
  });

  it('refuse a sample longer than pad_to rather than cut it', async () => {
    await expect(dense('planes', [0, 100], { pad_to: 31 })).rejects.toMatchObject({
      code: 'request-invalid',
      expected: 32,
      got: 31,
    });
  });

  it('refuse a batch over a gigabyte before it is made', async () => {
    const asked = dense('planes', [0, 1, 2, 3], { pad_to: 1_000_000, k: 1000 });
    await expect(asked).rejects.toMatchObject({ code: 'request-invalid' });
  });
});

function withSet(
  reader: SnapshotReader,
  change: Partial<Manifest['target_sets'][number]>,
): SnapshotReader {
  const [set] = reader.manifest.target_sets;
  return { ...reader, manifest: { ...reader.manifest, target_sets: [{ ...set, ...change }] } };
}
