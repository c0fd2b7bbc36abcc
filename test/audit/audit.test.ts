import { copyFileSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { AuditReport } from '../../schemas/audit.ts';
import type { Manifest, TargetSet } from '../../schemas/manifest.ts';
import { type AuditOptions, auditSnapshot } from '../../src/audit/audit.ts';
import { type Clock, sharedPace } from '../../src/audit/pace.ts';
import { passShards } from '../../src/audit/pass.ts';
import { readAudit } from '../../src/audit/report-file.ts';
import { openIntegrity } from '../../src/serve/integrity.ts';
import { auditLogPath, filePath, indexNameOf } from '../../src/shard/names.ts';
import { writeBuildStatus } from '../../src/shard/snapshot.ts';
import { openFileStore } from '../../src/store/file.ts';
import type { Store } from '../../src/store/store.ts';
import { coded } from '../contracts/store.ts';
import { random } from '../support/dump.ts';
import { useStore } from '../support/folder.ts';
import { sampleOf, targetSet, writeSamples } from '../support/shards.ts';
import { namingStore } from '../support/watched-store.ts';

const place = useStore();
const dataset = 'default';
const path = (name: string) => place.path(filePath(dataset, name));

/** Four shards of samples that are all different. */
const shards = [0, 1, 2, 3].map((shard) =>
  Array.from({ length: 12 }, (_, i) => sampleOf(shard * 40 + i + 20)),
);

const codec = (name: TargetSet['codec']['name']): TargetSet => {
  if (name === 'planes') return targetSet;
  return { ...targetSet, codec: { name, parameters: name === 'plain' ? { step: 0.003 } : {} } };
};

/** Through a new store, as a new process would. */
async function audit(options: Partial<AuditOptions> = {}, wrap = (store: Store) => store) {
  const store = await openFileStore(place.folder);
  try {
    return await auditSnapshot(wrap(store), { dataset, snapshot: 'latest', ...options });
  } finally {
    await store.close();
  }
}

const counted = ({ started_ms, updated_ms, ...report }: AuditReport) => report;
const filesOf = ({ integrity }: AuditReport) => integrity.problems.rows.map(({ file }) => file);
const names = ({ files }: Manifest, role: string) =>
  files.filter((file) => file.role === role).map(({ name }) => name);

describe.each([
  ['arrow', 'planes'],
  ['arrow', 'plain'],
  ['arrow', 'raw'],
  ['parquet', 'plain'],
] as const)('an audit of %s shards with %s targets', (format, name) => {
  it('counts every sample, and is kept', async () => {
    const { id, manifest } = await writeSamples(place.store, shards, { format, set: codec(name) });
    const report = await audit();
    const { samples, positions, learned } = manifest.totals;
    expect(report.coverage).toMatchObject({ samples, positions, learned });
    expect(report.integrity).toMatchObject({
      files: manifest.files.length,
      files_checked: manifest.files.length,
      bytes_checked: manifest.totals.bytes,
      problems: { total: 0 },
      quarantined: { total: 0, rows: [] },
    });
    expect(report).toMatchObject({ partial: false, snapshot: id });
    expect(report.progress.bytes).toBe(report.progress.bytes_total);
    expect(await readAudit(place.store, dataset, id)).toEqual(report);
    expect(await place.store.size(auditLogPath(dataset, id))).toBeUndefined();
  });

  it('gives in threads what it gives alone', async () => {
    await writeSamples(place.store, shards, { format, set: codec(name) });
    const alone = counted(await audit());
    for (const workers of [1, 2]) expect(counted(await audit({ workers }))).toEqual(alone);
  });

  it('names each damaged shard, drops it, and counts the others', async () => {
    const { manifest } = await writeSamples(place.store, shards, { format, set: codec(name) });
    const next = random(3);
    const [, shard] = names(manifest, 'shard');
    const file = path(shard);
    const good = readFileSync(file);
    const changes = [
      () => {
        const bad = Buffer.from(good);
        bad[Math.floor(next() * bad.length)] ^= 1 << Math.floor(next() * 8);
        writeFileSync(file, bad);
      },
      () => truncateSync(file, Math.floor(next() * good.length)),
      () => rmSync(file),
    ];
    for (const change of changes) {
      change();
      const report = await audit();
      expect(filesOf(report)).toEqual([shard]);
      expect(report.coverage.samples).toBe(36);
      expect(report.alignment[0].shards.total).toBe(3);
      expect(report.integrity.quarantined).toEqual({ total: 1, rows: [shard] });
      writeFileSync(file, good);
    }
    expect((await audit()).integrity).toMatchObject({
      problems: { total: 0 },
      quarantined: { total: 0 },
    });
  });
});

describe('an audit of damaged files', () => {
  it('names an index, and what no shard needs; servers refuse the shard from then on', async () => {
    const { manifest } = await writeSamples(place.store, shards);
    const { integrity } = await audit();
    expect(integrity.problems.total).toBe(0);
    for (const { name } of manifest.files.filter(({ role }) => role !== 'shard')) {
      const kept = place.path('kept');
      copyFileSync(path(name), kept);
      const bad = readFileSync(kept);
      bad[bad.length >> 1] ^= 4;
      writeFileSync(path(name), bad);
      const report = await audit();
      expect(filesOf(report)).toEqual([name]);
      const isOfShard = names(manifest, 'shard').some((shard) => indexNameOf(shard) === name);
      expect(report.coverage.samples).toBe(isOfShard ? 36 : 48);
      copyFileSync(kept, path(name));
    }
    const [shard] = names(manifest, 'shard');
    truncateSync(path(shard), 100);
    await audit();
    const server = await openIntegrity(place.store);
    expect(() => server.refuseQuarantined(manifest, [0])).toThrowError(coded('shard-damaged'));
    expect(() => server.refuseQuarantined(manifest, [12])).not.toThrow();
  });

  it('is known at once to a server of the same process', async () => {
    const { manifest } = await writeSamples(place.store, shards);
    const server = await openIntegrity(place.store);
    server.refuseQuarantined(manifest, [0]);
    truncateSync(path(names(manifest, 'shard')[0]), 100);
    await auditSnapshot(place.store, { dataset, snapshot: 'latest' });
    expect(() => server.refuseQuarantined(manifest, [0])).toThrowError(coded('shard-damaged'));
  });
});

describe('orphans', () => {
  it('are files and parts that no snapshot and no running build names', async () => {
    const { manifest } = await writeSamples(place.store, shards);
    const folders = {
      files: ['stray.arrow', 'aaaa-00000.arrow', 'bbbb-00000.arrow'],
      parts: ['aaaa-00001.part', 'c-1.part'],
    };
    for (const [folder, files] of Object.entries(folders)) {
      for (const [i, name] of files.entries()) {
        await place.store.write(`${dataset}/${folder}/${name}`, Buffer.alloc(10 + i));
      }
    }
    const status = {
      snapshot: null,
      samples: 0,
      positions: 0,
      positionsTotal: null,
      shards: 0,
      updatedMs: 0,
      error: null,
    };
    await writeBuildStatus(place.store, dataset, { ...status, build: 'aaaa', state: 'running' });
    await writeBuildStatus(place.store, dataset, { ...status, build: 'bbbb', state: 'failed' });
    const { orphans, problems } = (await audit()).integrity;
    expect(orphans.rows).toEqual([
      { path: 'default/files/bbbb-00000.arrow', bytes: 12 },
      { path: 'default/parts/c-1.part', bytes: 11 },
      { path: 'default/files/stray.arrow', bytes: 10 },
    ]);
    expect(orphans.total).toBe(3);
    expect(problems.total).toBe(0);
    for (const { name } of manifest.files)
      expect(await place.store.size(filePath(dataset, name))).toBeGreaterThan(0);
  });
});

describe('an audit that is stopped', () => {
  /** Shards that the pass reads, from their first byte on; stopped with that of `stopAt`. */
  function run(stopAt?: string) {
    const reads: string[] = [];
    const controller = new AbortController();
    const watch = (store: Store) =>
      namingStore(store, (name, offset) => {
        if (offset !== 0 || !/-0000[0-9].arrow$/.test(name)) return;
        reads.push(name.replace(`${dataset}/files/`, ''));
        if (reads.at(-1) === stopAt) controller.abort();
      });
    return { reads, ended: audit({ signal: controller.signal }, watch) };
  }

  it('goes on behind the shards that it has read, to the same report', async () => {
    const { id, manifest } = await writeSamples(place.store, shards);
    const whole = counted(await audit());
    rmSync(place.path(`default/audits/${id}.json`));
    const [first, second, third, fourth] = names(manifest, 'shard');
    const stopped = run(third);
    await expect(stopped.ended).rejects.toThrowError(coded('interrupted'));
    expect(stopped.reads).toEqual([first, second, third]);
    expect(await readAudit(place.store, dataset, id)).toBeUndefined();
    const again = run();
    expect(counted(await again.ended)).toEqual(whole);
    expect(again.reads).toEqual([third, fourth]);
    expect(await place.store.size(auditLogPath(dataset, id))).toBeUndefined();
  });

  it('reads a shard again whose size has changed since', async () => {
    const { manifest } = await writeSamples(place.store, shards);
    const [first, , third] = names(manifest, 'shard');
    await expect(run(third).ended).rejects.toThrowError(coded('interrupted'));
    truncateSync(path(first), 64);
    expect(filesOf(await run().ended)).toEqual([first]);
  });
});

describe('a pass', () => {
  it('does not read faster than it may, by the clock that it is given', async () => {
    const { manifest } = await writeSamples(place.store, shards);
    const bytesPerSecondMax = 1000;
    const asked: number[] = [];
    let ms = 5000;
    const clock: Clock = {
      now: () => ms,
      async sleep(time) {
        asked.push(time);
        ms += time;
      },
    };
    const pace = sharedPace(bytesPerSecondMax);
    const passed = passShards(place.store, { manifest, counts: true, pace, clock });
    for await (const { problems } of passed) expect(problems).toEqual([]);
    const own = manifest.files.filter(({ name }) => /-0000[0-9]\./.test(name));
    const bytes = own.reduce((sum, file) => sum + file.bytes, 0);
    const largest = Math.max(...own.map((file) => file.bytes));
    expect(ms - 5000).toBeGreaterThanOrEqual((bytes - largest) / (bytesPerSecondMax / 1000));
    expect(ms - 5000).toBeLessThanOrEqual(bytes / (bytesPerSecondMax / 1000) + 1);
    expect(asked.length).toBeGreaterThan(8);
  });

  it('leaves the calling thread alone where a thread is asked for, even one', async () => {
    const { manifest } = await writeSamples(place.store, shards);
    let looks = 0;
    // threads have a clock of their own
    const clock: Clock = { now: () => ++looks, sleep: async () => {} };
    const pass = async (workers?: number) => {
      const pace = sharedPace(1e9);
      const options = { manifest, counts: true, workers, pace, clock };
      for await (const { problems } of passShards(place.store, options)) {
        expect(problems).toEqual([]);
      }
    };
    await pass();
    expect(looks).toBeGreaterThan(0);
    looks = 0;
    await pass(1);
    expect(looks).toBe(0);
  });
});
