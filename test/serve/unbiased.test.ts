import { describe, expect, it } from 'vitest';
import { batchRequest } from '../../schemas/batch.ts';
import type { TargetSet } from '../../schemas/manifest.ts';
import { serveConfig } from '../../schemas/serve-config.ts';
import { readBatch } from '../../src/client/batch.ts';
import type { Targets } from '../../src/distribution/targets.ts';
import { createContext, type ServeContext } from '../../src/serve/context.ts';
import type { SnapshotReader } from '../../src/shard/reader.ts';
import { expectSame } from '../contracts/codec.ts';
import { streamOf } from '../support/batches.ts';
import { random } from '../support/dump.ts';
import { useStore } from '../support/folder.ts';
import { targetSet, width, writeSamples } from '../support/shards.ts';
import { targetsOf } from '../support/targets.ts';

const [step, tau] = [0.01, 0.03].map(Math.fround);
const place = useStore();

/** Weights on the step's grid, and τ; some positions hold nothing. */
function unbiased(seed: number, positions: number): Targets {
  const next = random(seed);
  const all = Array.from({ length: positions }, () => {
    const ids = new Set(Array.from({ length: next() * 6 }, () => Math.floor(next() * width)));
    return Array.from(ids, (id) => {
      const level = 18 + Math.floor(next() * 80);
      return { id, p: next() < 0.5 ? tau : (level * step) ** 2 };
    });
  });
  return targetsOf(all, { kind: 'unbiased' });
}

/** Entries of a position by id, as the codecs order them, with their weights. */
function expected({ count, offsets, ids, logprobs }: Targets) {
  const flat = Array.from({ length: count }, (_, t) => {
    const own = Array.from({ length: offsets[t + 1] - offsets[t] }, (_, i) => offsets[t] + i);
    return own.sort((a, b) => ids[a] - ids[b]);
  }).flat();
  const level = (logp: number) => Math.round(Math.exp(logp / 2) / step);
  const atTau = Math.fround(Math.log(tau));
  const weight = (logp: number) => (logp === atTau ? tau : (level(logp) * step) ** 2);
  return {
    offsets,
    ids: Uint32Array.from(flat, (i) => ids[i]),
    probs: Float32Array.from(flat, (i) => weight(logprobs[i])),
    rest: new Float32Array(0),
  };
}

const samples = [7, 1, 40].map((length, seed) => ({
  tokens: Int32Array.from({ length }, (_, t) => (seed + t * t) % width),
  targets: unbiased(seed + 1, length),
}));

describe.each([
  ['planes', { step, tau, compression: 'zstd' }],
  ['plain', { step, tau }],
] as const)('unbiased targets stored as %s', (codec, parameters) => {
  let context: ServeContext;
  let reader: SnapshotReader;
  const set: TargetSet = { ...targetSet, kind: 'unbiased', codec: { name: codec, parameters } };
  const open = async () => {
    await writeSamples(place.store, [samples], { set });
    context = await createContext(place.store, serveConfig.parse({}));
    reader = await context.snapshot('default', 'latest');
  };
  const layouts = codec === 'planes' ? (['frames', 'plain'] as const) : (['plain'] as const);

  it.each(layouts)('reach the client bit for bit in layout %s', async (layout) => {
    await open();
    const request = batchRequest.parse({ layout });
    const batch = readBatch(await streamOf(context, { reader, ordinals: [2, 0, 1], request }));
    expect(batch.targetSets[0]).toMatchObject({ kind: 'unbiased', step, tau });
    const decoded = batch.targets();
    for (const [row, ordinal] of [2, 0, 1].entries()) {
      expectSame(decoded[row], expected(samples[ordinal].targets));
    }
    await context.close();
  });

  it('are dense in rank order', async () => {
    await open();
    const request = batchRequest.parse({ layout: 'dense', dtype: 'float32', k: 6 });
    const bytes = await streamOf(context, { reader, ordinals: [0], request });
    const { columns } = readBatch(bytes);
    expect(columns.teacher_rest).toBeUndefined();
    const logprobs = new Float32Array(new Uint8Array(columns.teacher_logprobs.buffers[0]).buffer);
    const { offsets, probs } = expected(samples[0].targets);
    for (let t = 0; t < samples[0].tokens.length; t++) {
      const own = [...probs.subarray(offsets[t], offsets[t + 1])].sort((a, b) => b - a);
      own.forEach((p, i) => {
        expect(logprobs[t * 6 + i]).toBeCloseTo(Math.log(p), 5);
      });
    }
    await context.close();
  });
});
