import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { auditSnapshot } from '../../src/audit/audit.ts';
import { tallyReference } from '../../src/audit/fidelity.ts';
import { build } from '../../src/build.ts';
import { filePath } from '../../src/shard/names.ts';
import { openSnapshot } from '../../src/shard/open-snapshot.ts';
import { readTargets } from '../../src/shard/read-targets.ts';
import { readReference } from '../../src/shard/reference.ts';
import { openFileStore } from '../../src/store/file.ts';
import { configOf, npy, writeDump } from '../support/dump.ts';
import { useStore } from '../support/folder.ts';
import { logSoftmax } from '../support/naive.ts';

const place = useStore();
const shape = { positions: 480, vocabulary: 200, sampleLength: 48 };

async function built(settings: Record<string, unknown>) {
  const { source, logits } = writeDump(place.folder, shape);
  const config = configOf({
    store: place.path('store'),
    source,
    sparsifier: { type: 'top-k', k: 64 },
    reference: { positions: 480, entries: 200 },
    ...settings,
  });
  const { manifest } = await build(config, { dataFolder: 'data' });
  const [set] = manifest.target_sets;
  return { logits, set, fidelity: set.fidelity };
}

/** KL of each position from the dump itself, cell by cell. */
async function byHand(logits: Float32Array): Promise<{ merged: number[]; masses: number[] }> {
  const store = await openFileStore(place.path('store'));
  const reader = await openSnapshot(store, { dataset: 'default', snapshot: 'latest' });
  const merged: number[] = [];
  const masses: number[] = [];
  for (let ordinal = 0; ordinal < 10; ordinal++) {
    const { targets: stored } = await readTargets(reader, reader.manifest.target_sets[0], ordinal);
    for (let t = 0; t < 47; t++) {
      const start = (ordinal * 48 + t) * 200;
      const exact = logSoftmax(Array.from(logits.subarray(start, start + 200)));
      const kept = new Map<number, number>();
      for (let i = stored.offsets[t]; i < stored.offsets[t + 1]; i++) {
        kept.set(stored.ids[i], stored.probs[i]);
      }
      let outside = 0;
      let kl = 0;
      exact.forEach((logp, id) => {
        const q = kept.get(id);
        if (q === undefined) outside += Math.exp(logp);
        else kl += Math.exp(logp) * (logp - Math.log(q));
      });
      merged.push(kl + outside * Math.log(outside / stored.rest[t]));
      masses.push(1 - outside);
    }
  }
  await reader.close();
  await store.close();
  return { merged, masses };
}

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

describe('fidelity', () => {
  it.each([
    ['planes', { type: 'planes', step: 'standard' }],
    ['raw', { type: 'raw' }],
  ])('of %s equals the KL worked out from the dump itself', async (_, codec) => {
    const { logits, fidelity } = await built({ codec, sparsifier: { type: 'top-k', k: 32 } });
    const { merged, masses } = await byHand(logits);
    expect(fidelity?.positions).toBe(470); // every position that is to be learned
    expect(fidelity?.mass).toBeCloseTo(mean(masses), 5);
    const bound = codec.type === 'raw' ? 1e-7 : mean(merged) * 1e-3;
    expect(Math.abs((fidelity?.kl?.mean ?? 1) - mean(merged))).toBeLessThan(bound);
    expect(fidelity?.kl?.max).toBeGreaterThanOrEqual(fidelity?.kl?.p99 ?? 1);
    expect(fidelity?.kl_spread?.mean).toBeGreaterThanOrEqual(fidelity?.kl?.mean ?? 1);
    expect(fidelity?.kl_predicted === null).toBe(codec.type === 'raw');
  });

  it('has the variation and the KL over all ids that the dump gives', async () => {
    const { logits, set } = await built({
      codec: { type: 'raw' },
      sparsifier: { type: 'top-k', k: 16 },
    });
    const store = await openFileStore(place.path('store'));
    const reader = await openSnapshot(store, { dataset: 'default', snapshot: 'latest' });
    const reference = reader.manifest.files.find(({ role }) => role === 'reference')?.name ?? '';
    const rows = readReference(store, filePath('default', reference));
    const tally = tallyReference(reader, set);
    for await (const batch of rows) await tally.add(batch);
    const { kl_all, total_variation, measured } = tally.value();
    expect(measured).toEqual(set.fidelity);
    const all: number[] = [];
    for (let ordinal = 0; ordinal < 10; ordinal++) {
      for (let t = 0; t < 47; t++) {
        const start = (ordinal * 48 + t) * 200;
        const exact = logSoftmax(Array.from(logits.subarray(start, start + 200)));
        const sorted = [...exact].sort((a, b) => b - a);
        const rest = sorted.slice(16).reduce((sum, x) => sum + Math.exp(x), 0);
        const each = Math.log(rest / 184);
        all.push(sorted.slice(16).reduce((sum, x) => sum + Math.exp(x) * (x - each), 0));
      }
    }
    expect(kl_all?.mean).toBeCloseTo(mean(all), 4);
    expect(total_variation?.max).toBeLessThan(1e-6); // cells of K entries, without rounding
    await reader.close();
    await store.close();
  });

  it('is measured on any reference, also an empty one', async () => {
    const { set } = await built({});
    const store = await openFileStore(place.path('store'));
    const reader = await openSnapshot(store, { dataset: 'default', snapshot: 'latest' });
    const { measured } = tallyReference(reader, set).value();
    expect(measured).toMatchObject({ positions: 0, kl: null, kl_spread: null });
    await reader.close();
    await store.close();
  });

  it('of a teacher that is certain is finite, so that the manifest can hold it', async () => {
    const sparsifier = { type: 'top-k', k: 64 };
    for (const [name, codec] of Object.entries({ p: { type: 'planes' }, r: { type: 'raw' } })) {
      const { source, logits } = writeDump(place.folder, { ...shape, positions: 96 });
      logits.forEach((x, i) => {
        logits[i] = 60 * x; // all but the largest entries underflow in float32
      });
      writeFileSync(place.path('logits.npy'), npy('<f4', [96, 200], new Uint8Array(logits.buffer)));
      const config = configOf({
        store: place.path(name),
        source,
        sparsifier,
        codec,
        dataset: name,
      });
      const { manifest } = await build(config, { dataFolder: 'data' });
      expect(manifest.target_sets[0].fidelity?.kl?.mean).toBeLessThan(1e-4);
    }
  });

  it('of a flat teacher is finite, where one entry of very many is kept', async () => {
    const flat = new Float32Array(6 * 9000);
    const tokens = Int32Array.of(1, 2, 3, 4, 5, 6);
    for (let t = 0; t < 5; t++) flat[t * 9000 + tokens[t + 1]] = 0.01;
    writeFileSync(place.path('flat.npy'), npy('<f4', [6, 9000], new Uint8Array(flat.buffer)));
    writeFileSync(place.path('tokens.npy'), npy('<i4', [6], new Uint8Array(tokens.buffer)));
    const source = {
      type: 'dump',
      logits: place.path('flat.npy'),
      tokens: place.path('tokens.npy'),
      sample_length: 6,
    };
    const sparsifier = { type: 'top-k', k: 1 };
    const config = configOf({ store: place.path('flat'), source, sparsifier });
    const { manifest } = await build(config, { dataFolder: 'data' });
    expect(manifest.target_sets[0].fidelity?.kl?.mean).toBeLessThan(1e-3);
  });
});

it('is the same where lists of the reference go to threads', async () => {
  await built({});
  const store = await openFileStore(place.path('store'));
  const options = { dataset: 'default', snapshot: 'latest' };
  const alone = await auditSnapshot(store, options);
  const [{ measured }] = alone.fidelity;
  expect(measured?.positions).toBe(470);
  const { fidelity } = await auditSnapshot(store, { ...options, workers: 2 });
  expect(fidelity).toEqual(alone.fidelity);
  await store.close();
});
