import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FloatType } from '../../src/distribution/rows.ts';
import { toFloat16 } from '../../src/formats/float16.ts';
import { bytesOf } from '../../src/formats/layout.ts';
import { openNpy } from '../../src/formats/npy.ts';
import { referenceEngine } from '../../src/kernel/reference.ts';
import { createRowKernel, type RowKernel } from '../../src/kernel/row.ts';
import { createEngine, engineName } from '../../src/kernel/wasm.ts';
import { random } from '../support/dump.ts';

const temperatures = [0.5, 3];

/** All that a kernel says of a row, as bits. */
function outcome(kernel: RowKernel, values: Float32Array | Uint16Array, tau: number): unknown {
  try {
    const count = kernel.run(values, 0);
    const head = kernel.logprobs.subarray(0, count).filter((p) => p >= Math.log(tau)).length;
    const first = {
      count,
      ids: Array.from(kernel.ids.subarray(0, count)),
      floats: Array.from(kernel.logprobs.subarray(0, count)),
      logZ: Array.from(kernel.logZ),
      lse: kernel.lse,
      rest: kernel.rest,
    };
    const drawn = [0, 0.3, 0.999].map((start) => {
      const draws = kernel.draw(head, tau, start);
      return Array.from(kernel.drawn.subarray(0, draws));
    });
    return { ...first, drawn, last: kernel.logprob(values.length - 1) };
  } catch (error) {
    return (error as Error).message;
  }
}

function both(
  values: Float32Array | Uint16Array,
  { k = 64, type = 'f32' as FloatType, tau = 0.03 },
) {
  const width = values.length;
  const options = { k, width, type, temperatures };
  const fast = outcome(createRowKernel(options, createEngine), values, tau);
  const plain = outcome(createRowKernel(options, referenceEngine), values, tau);
  expect(fast).toEqual(plain);
  return plain;
}

describe('the compiled engine', () => {
  it('is what runs here', () => {
    expect(engineName).toBe('wasm');
  });

  it.each(['f32', 'f16', 'bf16'] as const)(
    'equals the reference bit for bit on random rows of %s',
    (type) => {
      const shape = fc.record({
        width: fc.constantFrom(1, 2, 15, 16, 17, 511, 512, 513, 2000, 9001),
        k: fc.constantFrom(1, 2, 8, 64, 600),
        seed: fc.nat(),
        scale: fc.constantFrom(1e-3, 1, 12, 300),
        masked: fc.constantFrom(0, 0.6, 0.999),
        tau: fc.constantFrom(0.3, 0.05, 0.002),
      });
      fc.assert(
        fc.property(shape, ({ width, k, seed, scale, masked, tau }) => {
          const next = random(seed);
          const floats = Float32Array.from({ length: width }, (_, id) => {
            if (id > 0 && next() < masked) return Number.NEGATIVE_INFINITY;
            return Math.log(next() + 1e-9) * scale;
          });
          both(type === 'f32' ? floats : narrowed(floats, type), { k, type, tau });
        }),
        { numRuns: 150 },
      );
    },
  );

  it.each(['f32', 'f16', 'bf16'] as const)(
    'collects what it collects at any threshold, and leaves the row of %s as it was',
    (type) => {
      const [width, k] = [1301, 9];
      const next = random(5);
      const values = typedRow(type, width, () => (next() - 0.5) * 2 ** Math.floor(next() * 7));
      values.set(
        typedRow(type, 4, (id) => [0, -0, -0, -Infinity][id]),
        700,
      );
      const engines = [createEngine, referenceEngine].map((create) => create({ width, type, k }));
      for (const engine of engines) engine.load(values, 0);
      const [fast, plain] = engines;
      const some = Array.from({ length: 60 }, (_, i) => plain.value(i));
      for (const threshold of [...some, 0, -0, -Infinity]) {
        const [got, wanted] = engines.map((engine) => {
          const count = engine.pass(threshold, 65);
          const ids = Array.from(engine.ids.subarray(0, engine.select(Math.min(k, count))));
          const { top, below, inside, outside } = engine;
          return { count, ids, top, below, inside, outside };
        });
        expect(got).toEqual(wanted);
        expect(Buffer.from(bytesOf(fast.row))).toEqual(Buffer.from(bytesOf(values)));
      }
    },
  );

  it.each([1, 2, 15, 16, 17, 40])('finds the sampled value of rank %d, and then others', (rank) => {
    const row = Float32Array.from({ length: 40 * 32 }, (_, id) => Math.sin(id));
    const [fast, plain] = [createEngine, referenceEngine].map((create) => {
      const engine = create({ width: row.length, type: 'f32', k: 1 });
      engine.load(row, 0);
      return [engine.sample(), ...[rank, 1, 40, 16, rank].map((r) => engine.nth(r))];
    });
    expect(fast).toEqual(plain);
  });

  it('passes over an entry at which the sum just reaches a draw, as the reference does', () => {
    const drawnBy = (create: typeof createEngine) => {
      const engine = create({ width: 1500, type: 'f32', k: 600 });
      const row = new Float32Array(1500).fill(Number.NEGATIVE_INFINITY);
      row.set([0, -1]);
      engine.load(row, 0);
      engine.pass(-0.5, 0);
      const one = engine.below;
      engine.load(row.fill(-1, 1), 0);
      engine.pass(-0.5, 0);
      engine.select(600);
      return Array.from(engine.drawn.subarray(0, engine.draw(1, 3 * one, 0)));
    };
    const drawn = drawnBy(createEngine);
    expect(drawn.slice(0, 170)).toEqual(Array.from({ length: 170 }, (_, i) => 1 + 3 * i));
    expect(drawn).toEqual(drawnBy(referenceEngine));
  });

  it.each(['f32', 'f16', 'bf16'] as const)('equals it on any bits at all in %s', (type) => {
    const next = random(11);
    for (let round = 0; round < 300; round++) {
      const width = 1 + Math.floor(next() * 70);
      const words = Uint32Array.from({ length: width }, () => Math.floor(next() * 2 ** 32));
      const values = type === 'f32' ? new Float32Array(words.buffer) : Uint16Array.from(words);
      both(values, { k: 9, type });
    }
  });

  it.each([
    ['constant', () => 3],
    ['one finite entry, unsampled', (id: number) => (id === 77 ? -5 : -Infinity)],
    ['a peak 300 above', (id: number) => (id === 4321 ? 300 : -(id % 9))],
    ['a peak 1,000 above', (id: number) => (id === 4321 ? 1000 : -(id % 9))],
    ['all at the bottom of float16', (id: number) => (id % 7 === 0 ? -Infinity : -65_504)],
    ['both zeros', (id: number) => (id % 2 === 0 ? 0 : -0)],
    ['subnormals of float16', (id: number) => (id % 1024) * 2 ** -24],
    ['of both signs, with ties', (id: number) => ((id * 37) % 101) - 50],
    ['different in one byte of its bits', (id: number) => 1 + (id % 2) * 2 ** -23],
    ['different in two bytes of its bits', (id: number) => 1 + (id % 1000) * 2 ** -23],
    ['different in three bytes of its bits', (id: number) => 1 + ((id * 7919) % 5001) * 2 ** -20],
  ])('equals it on a row that is %s', (_, valueAt) => {
    const floats = Float32Array.from({ length: 5001 }, (_, id) => valueAt(id));
    both(floats, {});
    both(narrowed(floats, 'bf16'), { type: 'bf16' });
    if (Math.max(...floats) < 65_504) both(narrowed(floats, 'f16'), { type: 'f16' });
  });

  it('equals it on rows of a trained model', async () => {
    const npy = await openNpy('test/golden/logits/small-lm-rows0-511.f16.npy');
    const width = npy.header.shape[1];
    const [fast, plain] = [createEngine, referenceEngine].map((create) =>
      createRowKernel({ k: 64, width, type: 'f16', temperatures }, create),
    );
    for (let t = 0; t < 40; t++) {
      const row = new Uint16Array(new Uint8Array(await npy.read(t * width * 2, width * 2)).buffer);
      expect(outcome(fast, row, 0.03)).toEqual(outcome(plain, row, 0.03));
    }
    await npy.close();
  });

  it.each([
    ['f32', new Float32Array(Uint32Array.of(0, 0xffc00000, 0x7f800000).buffer)],
    ['f16', Uint16Array.of(0, 0xfe00, 0x3c00)],
    ['f16', Uint16Array.of(0, 0x7e00, 0x3c00)],
    ['f16', Uint16Array.of(0x7c00, 1, 2)],
    ['bf16', Uint16Array.of(0, 0xffc0, 0)],
  ] as const)('refuses as it does: %s %o', (type, values) => {
    expect(both(values, { type })).toContain('a row of logits holds');
  });

  it('takes a row that was written where it lies', () => {
    const kernel = createRowKernel({ k: 2, width: 40, type: 'f32', temperatures: [] });
    kernel.row.set(Float32Array.from({ length: 40 }, (_, id) => id % 13));
    expect(kernel.run(kernel.row, 0)).toBe(2);
    expect(Array.from(kernel.ids)).toEqual([12, 25]);
  });
});

function typedRow(type: FloatType, length: number, valueAt: (id: number) => number) {
  const floats = Float32Array.from({ length }, (_, id) => valueAt(id));
  return type === 'f32' ? floats : narrowed(floats, type);
}

function narrowed(floats: Float32Array, type: 'f16' | 'bf16'): Uint16Array {
  if (type === 'f16') return toFloat16(floats);
  const words = new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
  return Uint16Array.from(words, (word) => word >>> 16);
}
