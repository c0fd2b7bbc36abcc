import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { AuditReport } from '../../schemas/audit.ts';
import type { Manifest } from '../../schemas/manifest.ts';
import { type AuditOptions, auditSnapshot } from '../../src/audit/audit.ts';
import { digestFile } from '../../src/audit/digests.ts';
import { openQuarantine } from '../../src/audit/quarantine.ts';
import { renderAudit } from '../../src/commands/audit-html.ts';
import { describeAudit } from '../../src/commands/audit-text.ts';
import { createPaint } from '../../src/commands/paint.ts';
import { LogitcaskError } from '../../src/errors.ts';
import { auditLogPath, filePath, indexNameOf } from '../../src/shard/names.ts';
import { writeReference } from '../../src/shard/reference.ts';
import { writeSnapshot } from '../../src/shard/snapshot.ts';
import { openFileStore } from '../../src/store/file.ts';
import type { Store } from '../../src/store/store.ts';
import { coded } from '../contracts/store.ts';
import { useStore } from '../support/folder.ts';
import { sampleOf, targetSet, writeSamples } from '../support/shards.ts';
import { namingStore } from '../support/watched-store.ts';

const place = useStore();
const dataset = 'default';
const path = (name: string) => place.path(filePath(dataset, name));
const rawSet = { ...targetSet, codec: { name: 'raw' as const, parameters: {} } };

/** Four shards of samples that are all different. */
const shards = [0, 1, 2, 3].map((shard) =>
  Array.from({ length: 12 }, (_, i) => sampleOf(shard * 40 + i + 20)),
);

/** Through a new store, as a new process would; without threads. */
async function audit(options: Partial<AuditOptions> = {}, wrap = (store: Store) => store) {
  const store = await openFileStore(place.folder);
  try {
    const place = { dataset, snapshot: 'latest' };
    return await auditSnapshot(wrap(store), { ...place, ...options });
  } finally {
    await store.close();
  }
}

const filesOf = ({ integrity }: AuditReport) => integrity.problems.rows.map(({ file }) => file);
const names = ({ files }: Manifest, role: string) =>
  files.filter((file) => file.role === role).map(({ name }) => name);

describe('an audit of what it cannot take as it is', () => {
  it('names a reference that is missing, or has other columns', async () => {
    const { manifest } = await writeSamples(place.store, shards);
    const [reference] = names(manifest, 'reference');
    const bytes = readFileSync(path(reference));
    bytes.write('prioritx', bytes.indexOf('priority'));
    writeFileSync(path(reference), bytes);
    expect(filesOf(await audit())).toEqual([reference]);
    rmSync(path(reference));
    const report = await audit();
    expect(filesOf(report)).toEqual([reference]);
    expect(report.findings.map(({ code }) => code)).toContain('file-missing');
  });

  it('names a raw shard whose values are no log-probs, or ids of none, any more', async () => {
    const samples = [0, 1, 2, 3].map((i) => sampleOf(30 + i));
    const { manifest } = await writeSamples(place.store, [samples], { set: rawSet });
    const [shard] = names(manifest, 'shard');
    const good = readFileSync(path(shard));
    for (let at = 1000; at + 64 < good.length; at += 400) {
      const bad = Buffer.from(good);
      bad.fill(0xff, at, at + 64);
      writeFileSync(path(shard), bad);
      const { integrity } = await audit();
      expect(integrity.problems.rows.map(({ file }) => file)).toEqual([shard]);
      expect(integrity.quarantined.rows).toEqual([shard]);
    }
  });

  it('fails where the store does, at whichever reading: nothing is damaged by that', async () => {
    await writeSamples(place.store, [[sampleOf(30)]]);
    let failures = 0;
    for (let isDone = false; !isDone; ) {
      let left = failures + 1;
      const failing = (store: Store) =>
        namingStore(store, () => {
          if (--left === 0) throw new LogitcaskError('store-failed', 'store: EIO');
        });
      const ended = await audit({}, failing).catch((error: unknown) => error);
      isDone = left > 0;
      if (!isDone) expect(ended).toMatchObject({ code: 'store-failed' });
      if (!isDone) failures++;
    }
    expect(failures).toBeGreaterThan(10);
    expect((await openQuarantine(place.store)).files).toBe(0);
  });

  it('names the reference where it has a position that its sample has not', async () => {
    const { manifest } = await writeSamples(place.store, shards);
    const [reference] = names(manifest, 'reference');
    const lists = { ids: Uint32Array.of(1), logprobs: Float32Array.of(-0.5) };
    const row = { priority: 1, label: 1, labelLogprob: -0.5, tail: 0.4, ...lists };
    const rows = [0, 1, 99].map((position) => ({ ...row, ordinal: 3, position }));
    const stored = filePath(dataset, reference);
    await writeReference(
      place.store,
      stored,
      (async function* () {
        yield rows;
      })(),
    );
    const files = manifest.files.map(async (file) => {
      if (file.name !== reference) return file;
      const sha256 = (await digestFile(place.store, stored))?.toString('hex') ?? '';
      return { ...file, bytes: (await place.store.size(stored)) ?? 0, sha256, positions: 3 };
    });
    await writeSnapshot(place.store, { ...manifest, files: await Promise.all(files) }, 'latest');
    const report = await audit();
    expect(filesOf(report)).toEqual([reference]);
    expect(report.fidelity[0].measured).toMatchObject({ positions: 2 });
    expect(report.integrity.quarantined.rows).toEqual([]);
  });
});

describe('an audit of odd samples', () => {
  it('finds nothing wrong with one that is empty', async () => {
    await writeSamples(place.store, [[sampleOf(1, 0), sampleOf(2, 5)]]);
    expect((await audit()).integrity.problems.rows).toEqual([]);
  });

  it('of a snapshot without any has a page of whole words', async () => {
    await writeSamples(place.store, []);
    const report = await audit();
    for (const made of [
      renderAudit({ report, drift: undefined }),
      describeAudit({ report, drift: undefined }, createPaint(false)),
    ]) {
      expect(made).not.toMatch(/NaN|Infinity|undefined/);
    }
  });
});

describe('an audit of very many damaged files', () => {
  it('says how many there are, names as many as a list has, and calls none of them whole', async () => {
    const count = 103;
    await writeSamples(
      place.store,
      Array.from({ length: count }, (_, i) => [sampleOf(i, 3)]),
    );
    for (const name of await place.store.list(`${dataset}/files`)) {
      if (name.endsWith('.arrow')) truncateSync(path(name), 16);
    }
    const { integrity, findings } = await audit();
    expect(integrity.quarantined).toMatchObject({ total: count + 1 }); // and the reference
    expect(integrity.quarantined.rows).toHaveLength(100);
    expect(new Set(findings.map(({ code }) => code))).toEqual(new Set(['file-damaged']));
  });
});

describe('an audit that is told to stop', () => {
  it('reads no more than a few files more, whatever it is at', async () => {
    await writeSamples(
      place.store,
      Array.from({ length: 24 }, (_, i) => [sampleOf(30 + i)]),
    );
    /** Reads in all, where it is told to stop with the one of that number. */
    const reads = async (stopAt: number) => {
      const controller = new AbortController();
      let read = 0;
      const watch = (store: Store) =>
        namingStore(store, () => {
          if (read++ === stopAt) controller.abort();
        });
      await audit({ signal: controller.signal }, watch).catch(({ code }) => {
        expect(code).toBe('interrupted');
      });
      return read;
    };
    const all = await reads(-1);
    for (let at = 0; at < all; at += Math.floor(all / 24)) {
      expect((await reads(at)) - at).toBeLessThan(12);
    }
  });
});

describe('an audit that goes on', () => {
  /** Stopped once the first two shards are in its log. */
  async function stoppedAfterTwo() {
    const { id, manifest } = await writeSamples(place.store, shards);
    const [first, second, third] = names(manifest, 'shard');
    const controller = new AbortController();
    const watch = (store: Store) =>
      namingStore(store, (name, offset) => {
        if (offset === 0 && name.endsWith(third)) controller.abort();
      });
    const ended = audit({ signal: controller.signal }, watch);
    await expect(ended).rejects.toThrowError(coded('interrupted'));
    return { id, first, second };
  }

  it('reads a shard again whose index is of another size', async () => {
    const { first } = await stoppedAfterTwo();
    truncateSync(path(indexNameOf(first)), 40);
    const { integrity } = await audit();
    expect(integrity.problems.rows).toMatchObject([{ file: indexNameOf(first) }]);
    expect(integrity.quarantined.rows).toEqual([indexNameOf(first)]);
  });

  it('reads a shard again whose index is in quarantine, and no other', async () => {
    const { first, second } = await stoppedAfterTwo();
    const index = indexNameOf(first);
    await (await openQuarantine(place.store)).add(dataset, index, { expected: 1, got: 2 });
    const reads: string[] = [];
    const watch = (store: Store) =>
      namingStore(store, (name, offset) => {
        if (offset === 0) reads.push(name);
      });
    const { integrity } = await audit({}, watch);
    expect(reads).toContain(filePath(dataset, first));
    expect(reads).not.toContain(filePath(dataset, second));
    expect(integrity.quarantined.rows).toEqual([]);
  });

  it('names an index that was damaged since, of the same size', async () => {
    const { first } = await stoppedAfterTwo();
    writeFileSync(path(indexNameOf(first)), readFileSync(path(indexNameOf(first))).fill(0));
    const { integrity } = await audit();
    expect(integrity.problems.rows[0]).toMatchObject({ code: 'index-damaged' });
  });

  it('reads shards again whose entries it cannot read', async () => {
    const { id } = await stoppedAfterTwo();
    await place.store.remove(auditLogPath(dataset, id));
    const log = await place.store.openLog(auditLogPath(dataset, id), () => {});
    await log.append(Buffer.from('of another version'));
    await log.close();
    expect((await audit()).coverage.samples).toBe(48);
  });

  it('leaves in quarantine what a server has found damaged meanwhile', async () => {
    const { manifest } = await writeSamples(place.store, shards);
    const [first, , third] = names(manifest, 'shard');
    const quarantine = await openQuarantine(place.store);
    let added: Promise<void> | undefined;
    const store = namingStore(place.store, (name) => {
      if (name.endsWith(third)) added ??= quarantine.add(dataset, first, { expected: 1, got: 2 });
    });
    const options = { dataset, snapshot: 'latest' };
    const { integrity } = await auditSnapshot(store, options);
    await added;
    expect(integrity.problems.total).toBe(0);
    expect(integrity.quarantined.rows).toEqual([first]);
  });
});

describe('a quarantine', () => {
  it('is not undone by a reading that began before a change', async () => {
    await openQuarantine(place.store);
    let isHeld = true;
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const store = new Proxy(place.store, {
      get: (own, key) =>
        key === 'readAll' && isHeld
          ? async (name: string) => {
              isHeld = false;
              const bytes = await own.readAll(name);
              await held;
              return bytes;
            }
          : Reflect.get(own, key).bind?.(own),
    });
    await place.store.write('quarantine.json', Buffer.from('{}'));
    const reading = openQuarantine(store);
    const changing = openQuarantine(store).then((own) =>
      own.add(dataset, 'a', { expected: 1, got: 2 }).then(() => own),
    );
    setTimeout(release, 200);
    await reading;
    expect((await changing).of(dataset)).toHaveProperty('a');
  });
});
