import {
  copyFileSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Manifest } from '../../schemas/manifest.ts';
import { type Problem, verifySnapshot } from '../../src/audit/verify.ts';
import { build } from '../../src/build.ts';
import { filePath, snapshotPath } from '../../src/shard/names.ts';
import { writeSnapshot } from '../../src/shard/snapshot.ts';
import { openFileStore } from '../../src/store/file.ts';
import { coded } from '../contracts/store.ts';
import { configOf, random, writeDump } from '../support/dump.ts';
import { useStore } from '../support/folder.ts';

const place = useStore();
let manifest: Manifest;
let snapshot = '';

beforeEach(async () => {
  const shape = { positions: 2400, vocabulary: 300, sampleLength: 24 };
  const config = configOf({
    store: place.path('store'),
    source: writeDump(place.folder, shape).source,
    sparsifier: { type: 'top-k', k: 64 },
    shard: { bytes_max: 65_536, batch_bytes_max: 8192 },
    reference: { positions: 64, entries: 64 },
  });
  ({ manifest, snapshot } = await build(config, { dataFolder: 'data' }));
});

const path = (name: string) => place.path(`store/${filePath('default', name)}`);
const names = (role: string) =>
  manifest.files.filter((file) => file.role === role).map(({ name }) => name);

/** Through a new store each time, as a new process would. */
async function verify(ref = 'latest') {
  const store = await openFileStore(place.path('store'));
  const report = await verifySnapshot(store, { dataset: 'default', snapshot: ref });
  await store.close();
  return report;
}

const filesOf = (problems: readonly Problem[]) => [...new Set(problems.map(({ file }) => file))];

describe('verify on a good snapshot', () => {
  it('finds nothing, and says what it looked at', async () => {
    const progress: number[] = [];
    const store = await openFileStore(place.path('store'));
    const report = await verifySnapshot(store, {
      dataset: 'default',
      snapshot,
      onProgress: ({ bytes, bytesTotal }) => progress.push(bytes / bytesTotal),
    });
    await store.close();
    expect(report).toMatchObject({
      snapshot,
      files: manifest.files.length,
      bytes: manifest.totals.bytes,
      samples: 100,
      positions: 2400,
      problems: [],
    });
    expect(progress).toEqual([...progress].sort((a, b) => a - b));
    expect(progress.at(-1)).toBe(1);
    expect(names('shard').length).toBeGreaterThan(1);
  });
});

describe('verify names the damaged file, and no other', () => {
  it('at every random flipped bit, in every file, and again in a second run', async () => {
    const next = random(7);
    for (const { name, bytes } of manifest.files) {
      const content = readFileSync(path(name));
      expect(content).toHaveLength(bytes);
      const flips = Math.max(24, Math.ceil(240 / manifest.files.length));
      for (let i = 0; i < flips; i++) {
        // every part of the file in turn: its first bytes, its last ones, and between
        const at = i < 4 ? i : i < 8 ? bytes - 1 - (i % 4) : Math.floor(next() * bytes);
        const mask = 1 << Math.floor(next() * 8);
        content[at] ^= mask;
        writeFileSync(path(name), content);
        const { problems } = await verify();
        expect(filesOf(problems)).toEqual([name]);
        if (i % 8 === 0) expect(filesOf((await verify()).problems)).toEqual([name]);
        content[at] ^= mask;
      }
      writeFileSync(path(name), content);
    }
    expect((await verify()).problems).toEqual([]);
  }, 120_000);

  it('cut at every sixteenth, empty, longer, missing, or a link', async () => {
    for (const { name, bytes } of manifest.files) {
      const kept = place.path('kept');
      copyFileSync(path(name), kept);
      const restore = () => copyFileSync(kept, path(name));
      const changes = [
        ...Array.from({ length: 16 }, (_, i) => () => {
          truncateSync(path(name), Math.floor((i * bytes) / 16));
        }),
        () => writeFileSync(path(name), Buffer.concat([readFileSync(kept), Buffer.alloc(1)])),
        () => rmSync(path(name)),
        () => {
          rmSync(path(name));
          symlinkSync(kept, path(name));
        },
      ];
      for (const change of changes) {
        change();
        expect(filesOf((await verify()).problems)).toEqual([name]);
        rmSync(path(name), { force: true });
        restore();
      }
    }
    expect((await verify()).problems).toEqual([]);
  }, 120_000);

  it('where two shards, or two indexes, are exchanged', async () => {
    for (const role of ['shard', 'index']) {
      const [a, b] = names(role);
      const exchange = () => {
        renameSync(path(a), place.path('kept'));
        renameSync(path(b), path(a));
        renameSync(place.path('kept'), path(b));
      };
      exchange();
      expect(filesOf((await verify()).problems).sort()).toEqual([a, b].sort());
      exchange();
    }
  });

  it('where two files of equal size are exchanged', async () => {
    const [a, b] = names('shard');
    const size = Math.max(statSync(path(a)).size, statSync(path(b)).size);
    const padded = [a, b].map((name) => {
      const bytes = Buffer.alloc(size);
      readFileSync(path(name)).copy(bytes);
      return bytes;
    });
    writeFileSync(path(a), padded[1]);
    writeFileSync(path(b), padded[0]);
    expect(filesOf((await verify()).problems).sort()).toEqual([a, b].sort());
  });
});

describe('verify does not believe a manifest', () => {
  it('that is altered', async () => {
    const file = place.path(`store/${snapshotPath('default', snapshot)}`);
    const bytes = readFileSync(file);
    for (let i = 0; i < bytes.length; i += 97) {
      bytes[i] ^= 1;
      writeFileSync(file, bytes);
      await expect(verify(snapshot)).rejects.toThrowError(coded('manifest-invalid'));
      bytes[i] ^= 1;
    }
    rmSync(file);
    await expect(verify()).rejects.toThrowError(coded('snapshot-not-found'));
  });

  /** Stores a changed manifest under its own digest: only what it describes can contradict it. */
  async function rewritten(change: (own: Manifest) => Partial<Manifest>) {
    const store = await openFileStore(place.path('store'));
    const { id } = await writeSnapshot(store, { ...manifest, ...change(manifest) }, 'other');
    await store.close();
    return (await verify(id)).problems;
  }

  it('that says other things than its files', async () => {
    expect(await rewritten(() => ({ parent: snapshot }))).toEqual([]);
    const contentId = await rewritten(() => ({ content_id: 'a'.repeat(64) }));
    expect(filesOf(contentId)).toEqual(['manifest.json']);
    const smaller = await rewritten(({ label_space }) => ({
      label_space: { ...label_space, size: 299 },
    }));
    expect(filesOf(smaller)).toEqual(names('shard'));
    const reordered = await rewritten(({ files }) => ({
      files: [files[2], files[3], files[0], files[1], ...files.slice(4)],
    }));
    expect(filesOf(reordered)).toEqual(['manifest.json']);
    const longer = await rewritten(({ files }) => ({
      files: files.map((file, i) => (i < 2 ? { ...file, samples: file.samples + 1 } : file)),
    }));
    expect(filesOf(longer)).toContain(names('shard')[0]);
    const unindexed = await rewritten(({ files }) => ({ files: files.filter((_, i) => i !== 1) }));
    expect(filesOf(unindexed)).toContain(manifest.files[1].name);
    for (const field of ['samples', 'positions', 'bytes'] as const) {
      const totals = await rewritten((own) => ({
        totals: { ...own.totals, [field]: own.totals[field] + 1 },
      }));
      expect(filesOf(totals)).toEqual(['manifest.json']);
    }
  });
});
