import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { measureSize } from '../../src/audit/size.ts';
import { verifySnapshot } from '../../src/audit/verify.ts';
import { type BuildReport, build } from '../../src/build.ts';
import { openSnapshot } from '../../src/shard/open-snapshot.ts';
import { openStore } from '../../src/store/table.ts';
import { configOf, npy, writeDump } from '../support/dump.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-build-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const shape = { positions: 1600, vocabulary: 300, sampleLength: 32 };

function settings(store: string, source: unknown, more: Record<string, unknown> = {}) {
  return configOf({
    store: join(folder, store),
    source,
    sparsifier: { type: 'top-k', k: 64 },
    shard: { bytes_max: 65_536, batch_bytes_max: 8192 },
    reference: { positions: 64, entries: 128 },
    ...more,
  });
}

/** Digests of all that a build leaves for readers: everything but status files. */
function contents(store: string): Record<string, string> {
  const root = join(folder, store);
  const found: Record<string, string> = {};
  for (const name of readdirSync(root, { recursive: true, encoding: 'utf8' })) {
    if (name.includes('builds') || !statSync(join(root, name)).isFile()) continue;
    found[name] = createHash('sha256')
      .update(readFileSync(join(root, name)))
      .digest('hex');
  }
  return found;
}

const run = (config: ReturnType<typeof settings>, signal?: AbortSignal): Promise<BuildReport> =>
  build(config, { dataFolder: 'data', signal });

describe('a build', () => {
  it('writes a snapshot that verifies, in several shards', async () => {
    const { source } = writeDump(folder, shape);
    const report = await run(settings('a', source));
    expect(report.reused).toBe(false);
    expect(report.manifest.totals).toMatchObject({ samples: 50, positions: 1600, learned: 1550 });
    expect(report.manifest.files.filter(({ role }) => role === 'shard').length).toBeGreaterThan(1);
    const store = await openStore(join(folder, 'a'));
    const verified = await verifySnapshot(store, { dataset: 'default', snapshot: 'latest' });
    expect(verified.problems).toEqual([]);
    await store.close();
  });

  it('measures what it stored: KL near its closed form, mass and alignment at shift 0', async () => {
    const { source } = writeDump(folder, shape);
    const { manifest } = await run(settings('a', source));
    const { fidelity, alignment } = manifest.target_sets[0];
    expect(fidelity?.positions).toBe(64);
    expect(fidelity?.kl?.mean).toBeGreaterThan(0);
    expect(fidelity?.kl?.mean).toBeLessThan(1e-4);
    expect(fidelity?.kl?.mean).toBeGreaterThan((fidelity?.kl_predicted ?? 1) / 3);
    expect(fidelity?.kl?.mean).toBeLessThan((fidelity?.kl_predicted ?? 0) * 3);
    expect(fidelity?.mass).toBeGreaterThan(0.5);
    expect(alignment?.at).toBeGreaterThan(alignment?.before ?? 0);
    expect(alignment?.at).toBeGreaterThan(alignment?.after ?? 0);
  });

  it('keeps a KL budget by solving for the step', async () => {
    const { source } = writeDump(folder, shape);
    for (const klMax of [1e-3, 1e-5]) {
      const budget = { max_kl: klMax };
      const { manifest } = await run(settings(`kl${klMax}`, source, { budget }));
      const mean = manifest.target_sets[0].fidelity?.kl?.mean ?? 1;
      expect(mean).toBeLessThan(klMax * 1.3);
      expect(mean).toBeGreaterThan(klMax * 0.5);
    }
  });

  const sizeOf = async (store: string) => {
    const opened = await openStore(join(folder, store));
    const { targets } = await measureSize(opened, { dataset: 'default', snapshot: 'latest' });
    await opened.close();
    return targets;
  };

  it.each([
    ['top-k', { type: 'top-k', k: 64 }, 25],
    ['threshold', { type: 'threshold' }, 18],
  ])('keeps a budget of bytes a position: %s', async (_, sparsifier, bytes) => {
    const { source } = writeDump(folder, shape);
    const budget = { bytes_per_position: bytes };
    await run(settings('a', source, { budget, sparsifier }));
    const size = (await sizeOf('a')) - 4 / shape.sampleLength; // the column's offsets
    expect(size).toBeLessThan(bytes * 1.02); // solved on the first samples
    expect(size).toBeGreaterThan(bytes * 0.9);
  });

  it.each([
    ['a KL of unbiased targets', { max_kl: 1e-4 }, { type: 'threshold' }, {}],
    ['τ beside it', { bytes_per_position: 9 }, { type: 'threshold', tau: 0.1 }, {}],
    ['a step beside it', { max_kl: 1e-4 }, {}, { step: 'fine' }],
    ['a lossless codec', { max_kl: 1e-4 }, {}, { type: 'raw' }],
    ['too few bytes', { bytes_per_position: 0.5 }, {}, {}],
  ])('refuses a budget with %s', async (_, budget, sparsifier, codec) => {
    const { source } = writeDump(folder, shape);
    const more = {
      budget,
      sparsifier: { type: 'top-k', ...sparsifier },
      codec: { type: 'planes', ...codec },
    };
    await expect(run(settings('a', source, more))).rejects.toMatchObject({
      code: 'config-invalid',
    });
  });

  it('draws unbiased targets: again the same bytes, the variance beside its closed form', async () => {
    const { source } = writeDump(folder, shape);
    const more = { sparsifier: { type: 'threshold', tau: 0.05 }, temperatures: [2] };
    const { manifest, snapshot } = await run(settings('a', source, more));
    const [set] = manifest.target_sets;
    expect(set).toMatchObject({
      kind: 'unbiased',
      sparsifier: { name: 'threshold', parameters: { tau: 0.05 }, entries_max: 20 },
      codec: { parameters: { step: 0.0095, tau: 0.05, compression: 'zstd' } },
    });
    expect(set.fidelity).toMatchObject({ kl: null, kl_spread: null, kl_predicted: null });
    expect(set.fidelity?.mass).toBeCloseTo(1, 1);
    expect(set.fidelity?.squared_error?.mean).toBeGreaterThan(0.001);
    expect(set.fidelity?.squared_error?.mean).toBeLessThan(0.05);
    expect((await run(settings('b', source, more))).snapshot).toBe(snapshot);
    expect(contents('b')).toEqual(contents('a'));
    const store = await openStore(join(folder, 'a'));
    const verified = await verifySnapshot(store, { dataset: 'default', snapshot: 'latest' });
    expect(verified.problems).toEqual([]);
    await store.close();
  });

  it('refuses a step that is wider than √τ', async () => {
    const { source } = writeDump(folder, shape);
    const more = {
      sparsifier: { type: 'threshold', tau: 0.001 },
      codec: { type: 'planes', step: 0.05 },
    };
    await expect(run(settings('a', source, more))).rejects.toMatchObject({
      code: 'config-invalid',
    });
  });

  it('gives the same bytes and the same id in another store', async () => {
    const { source } = writeDump(folder, shape);
    const [a, b] = [await run(settings('a', source)), await run(settings('b', source))];
    expect(b.snapshot).toBe(a.snapshot);
    expect(contents('b')).toEqual(contents('a'));
  });

  it('gives the part of a lone shard the name of the reference; written again it is the same', async () => {
    const { source } = writeDump(folder, shape);
    const lone = { shard: { bytes_max: 2 ** 26, batch_bytes_max: 8192 } };
    const store = await openStore(join(folder, 'b'));
    const link = vi.spyOn(Object.getPrototypeOf(store), 'link');
    const linked = await run(settings('a', source, lone));
    await expect(link.mock.results[0].value).resolves.toBe(true);
    link.mockResolvedValue(false);
    const written = await run(settings('b', source, lone));
    expect(link).toHaveBeenCalledTimes(2);
    link.mockRestore();
    await store.close();
    expect(written.manifest.files.filter(({ role }) => role === 'shard')).toHaveLength(1);
    expect(written.snapshot).toBe(linked.snapshot);
    expect(contents('b')).toEqual(contents('a'));
    expect(Object.keys(contents('a')).filter((name) => name.includes('.part'))).toEqual([]);
  });

  it('reuses a complete build and says so', async () => {
    const { source } = writeDump(folder, shape);
    const first = await run(settings('a', source));
    const before = contents('a');
    const second = await run(settings('a', source, { tag: 'again' }));
    expect(second).toMatchObject({ reused: true, snapshot: first.snapshot, positions: 0 });
    const { 'default/tags/again': tag, ...rest } = contents('a');
    expect(tag).toBe(before['default/tags/latest']);
    expect(rest).toEqual(before);
  });

  it('stops on request, keeps whole shards, and ends with the same bytes', async () => {
    const { source } = writeDump(folder, shape);
    await run(settings('whole', source));
    const stop = new AbortController();
    const config = settings('stopped', source);
    const stopped = build(config, {
      dataFolder: 'data',
      signal: stop.signal,
      onProgress: ({ shards }) => {
        if (shards === 1) stop.abort();
      },
    });
    await expect(stopped).rejects.toMatchObject({ code: 'interrupted' });
    const names = Object.keys(contents('stopped'));
    expect(names.filter((name) => name.endsWith('.arrow'))).toHaveLength(1);
    expect(names.some((name) => name.includes('snapshots'))).toBe(false);
    const resumed = await run(config);
    expect(resumed.resumedSamples).toBeGreaterThan(0);
    expect(resumed.positions).toBeLessThan(1600);
    expect(contents('stopped')).toEqual(contents('whole'));
  });

  it('stores raw targets losslessly beside planes of the same input', async () => {
    const { source } = writeDump(folder, { ...shape, positions: 64 });
    await run(settings('raw', source, { codec: { type: 'raw' }, temperatures: [2] }));
    const store = await openStore(join(folder, 'raw'));
    const reader = await openSnapshot(store, { dataset: 'default', snapshot: 'latest' });
    expect(Object.keys(reader.columns)).toEqual([
      'sample_id',
      'tokens',
      'mask',
      'meta',
      'teacher_counts',
      'teacher_ids',
      'teacher_logprobs',
      'teacher_rest',
      'teacher_label_logprob',
      'teacher_log_z',
    ]);
    expect(reader.manifest.target_sets[0].fidelity?.kl?.mean).toBeLessThan(1e-6);
    await reader.close();
    await store.close();
  });

  it('refuses a second writer of the same build while the first is alive', async () => {
    const { source } = writeDump(folder, shape);
    const config = settings('a', source);
    const results = await Promise.allSettled([run(config), run(config)]);
    const codes = results.map((r) => (r.status === 'rejected' ? r.reason.code : 'ok')).sort();
    expect(codes).toEqual(['build-running', 'ok']);
  });

  it('leaves no half-written file where the input is bad', async () => {
    const { source } = writeDump(folder, shape);
    const bytes = readFileSync(join(folder, 'logits.npy'));
    bytes.writeFloatLE(Number.NaN, bytes.length - 4 * 300 * 100);
    writeFileSync(join(folder, 'logits.npy'), bytes);
    await expect(run(settings('bad', source))).rejects.toMatchObject({ code: 'row-invalid' });
    const names = readdirSync(join(folder, 'bad'), { recursive: true, encoding: 'utf8' });
    expect(names.filter((name) => name.includes('.tmp') || name.includes('snapshots'))).toEqual([]);
  });
});

it('stores rows so peaked that the mass outside rounds away, and measures them', async () => {
  const { logits, source, vocabulary } = writeDump(folder, { ...shape, positions: 64 });
  for (let t = 0; t < 64; t++) {
    const row = logits.subarray(t * vocabulary, (t + 1) * vocabulary);
    row[row.indexOf(Math.max(...row))] = 60 + t; // the others share e^-60 and less
  }
  const bytes = new Uint8Array(logits.buffer);
  writeFileSync(join(folder, 'logits.npy'), npy('<f4', [64, vocabulary], bytes));
  for (const codec of [{ type: 'planes' }, { type: 'raw' }]) {
    const { manifest } = await run(settings(codec.type, source, { codec }));
    const { kl, mass } = manifest.target_sets[0].fidelity ?? {};
    expect(kl?.max).toBeLessThan(1e-6);
    expect(mass).toBeCloseTo(1, 9);
  }
});
