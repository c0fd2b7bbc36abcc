import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openFileStore } from '../../src/store/file.ts';
import type { Store } from '../../src/store/store.ts';
import { openStore } from '../../src/store/table.ts';
import { temporaryName } from '../../src/store/temporary.ts';
import { coded, describeStore } from '../contracts/store.ts';

const folderFor = () => mkdtempSync(join(tmpdir(), 'logitcask-store-'));

describeStore('file:', async () => {
  const folder = folderFor();
  const store = await openFileStore(folder);
  return {
    store,
    again: () => openFileStore(folder),
    async end() {
      await store.close();
      rmSync(folder, { recursive: true });
    },
  };
});

let folder = '';
let store: Store;
beforeEach(async () => {
  folder = folderFor();
  mkdirSync(place(''));
  store = await openFileStore(place(''));
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

const place = (name: string) => join(folder, 'store', name);

describe('a folder as a store', () => {
  it('opens by path and by URL, and is made with the first write', async () => {
    const deep = join(folder, 'some', 'where');
    const byUrl = await openStore(pathToFileURL(deep).href);
    expect([await byUrl.list(''), await byUrl.sweep()]).toEqual([[], 0]);
    expect(existsSync(deep)).toBe(false);
    await byUrl.write('a', Buffer.from('x'));
    const byPath = await openStore(deep);
    expect((await byPath.readAll('a')).toString()).toBe('x');
    expect(byPath.url).toBe(byUrl.url);
    await expect(Promise.resolve().then(() => openStore('s3://bucket/a'))).rejects.toThrowError(
      coded('config-invalid'),
    );
  });

  it('does not follow symbolic links to files, and writes over the link, not through it', async () => {
    const outside = join(folder, 'secret');
    writeFileSync(outside, 'secret');
    symlinkSync(outside, place('link'));
    await expect(store.read('link', 0, 1)).rejects.toThrowError(coded('store-failed'));
    await expect(store.readAll('link')).rejects.toThrowError(coded('store-failed'));
    await expect(store.size('link')).rejects.toThrowError(coded('store-failed'));
    await store.write('link', Buffer.from('own'));
    expect((await store.readAll('link')).toString()).toBe('own');
    expect(readFileSync(outside, 'utf8')).toBe('secret');
  });

  it('gives second names, and leaves no temporary one behind', async () => {
    await store.write('one', Buffer.from('x'));
    for (let times = 0; times < 2; times++) expect(await store.link('one', 'two')).toBe(true);
    expect(readdirSync(place('')).sort()).toEqual(['one', 'two']);
  });

  it('shows the bytes committed last, also to readers that came while they were written', async () => {
    await store.write('a', Buffer.from('old'));
    const writer = await store.create('a');
    await writer.append(Buffer.from('new'));
    expect((await store.read('a', 0, 3)).toString()).toBe('old');
    await writer.commit();
    expect((await store.read('a', 0, 3)).toString()).toBe('new');
    const reading = store.read('a', 0, 3);
    await store.remove('a');
    await reading.catch(() => {});
    await expect(store.read('a', 0, 3)).rejects.toThrowError(coded('store-not-found'));
  });

  it('shows nothing of a file that could not be made durable', async () => {
    const probe = await open(place('probe'), 'w');
    const sync = vi.spyOn(Object.getPrototypeOf(probe), 'sync');
    await probe.close();
    sync.mockRejectedValueOnce(Object.assign(new Error('i/o error'), { code: 'EIO' }));
    await expect(store.write('a', Buffer.from('x'))).rejects.toThrowError(coded('store-failed'));
    expect(readdirSync(place(''))).toEqual(['probe']);
    sync.mockClear();
    await store.write('b/c', Buffer.from('x'));
    expect(sync.mock.calls.length).toBe(3); // the new folder in its parent, the file, its name
    sync.mockRestore();
  });

  it('keeps open files few', async () => {
    const names = Array.from({ length: 150 }, (_, i) => `f${i}`);
    await Promise.all(names.map((name) => store.write(name, Buffer.from(name))));
    const openOf = () => readdirSync('/proc/self/fd').length;
    const before = openOf();
    for (let round = 0; round < 3; round++) {
      await Promise.all(names.map((name) => store.read(name, 0, 1)));
    }
    await new Promise((resolve) => setTimeout(resolve, 100)); // evicted ones close behind the reads
    expect(openOf() - before).toBeLessThanOrEqual(64);
    await store.close();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(openOf()).toBeLessThanOrEqual(before);
  });
});

describe('a sweep', () => {
  const dead = spawnSync('true').pid;
  const named = (pid: number) => temporaryName('abc').replace(`-${process.pid}-`, `-${pid}-`);

  it("removes a dead writer's files at any depth, and nobody else's", async () => {
    await store.write('d/e/whole', Buffer.from('x'));
    const orphans = [named(dead), `d/${named(dead)}`, `d/e/${named(dead)}`];
    const live = [named(process.ppid), `d/${temporaryName('def')}`];
    for (const name of [...orphans, ...live]) writeFileSync(place(name), 'half');
    expect(await store.sweep()).toBe(3);
    for (const name of orphans) expect(existsSync(place(name))).toBe(false);
    for (const name of live) expect(existsSync(place(name))).toBe(true);
    expect(await store.size('d/e/whole')).toBe(1);
    expect(await store.sweep()).toBe(0);
  });

  it("takes another machine's files for orphans after a day", async () => {
    const [fresh, old] = ['.tmp-00000000-1-aa', '.tmp-00000000-1-bb'];
    for (const name of [fresh, old]) writeFileSync(place(name), 'half');
    const twoDaysAgo = Date.now() / 1000 - 2 * 86_400;
    utimesSync(place(old), twoDaysAgo, twoDaysAgo);
    expect(await store.sweep()).toBe(1);
    expect(readdirSync(place(''))).toEqual([fresh]);
  });

  it('leaves names alone that are not ours, and what lies behind a link', async () => {
    const outside = join(folder, 'outside');
    mkdirSync(outside);
    writeFileSync(join(outside, named(dead)), 'x');
    symlinkSync(outside, place('link'));
    for (const name of ['.tmp-x', '.gitkeep']) writeFileSync(place(name), 'x');
    expect(await store.sweep()).toBe(0);
    expect(existsSync(join(outside, named(dead)))).toBe(true);
  });
});

const disk = join(tmpdir(), `logitcask-disk-${process.pid}`);
mkdirSync(disk);
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', disk]).status === 0;
if (!mounted) console.warn('store: no tmpfs can be mounted here (needs root): not tested');
afterAll(() => {
  if (mounted) execFileSync('umount', [disk]);
  rmSync(disk, { recursive: true });
});

describe.runIf(mounted)('a disk of its own', () => {
  it('is store-full when full; nothing half-written is seen, and writing works once there is room', async () => {
    const small = await openFileStore(disk);
    await small.write('old', Buffer.alloc(100_000, 1));
    const large = Buffer.alloc(200_000, 2);
    for (const name of ['new', 'old']) {
      await expect(small.write(name, large)).rejects.toThrowError(coded('store-full'));
    }
    const writer = await small.create('d/piecewise');
    const pieces = async () => {
      for (let i = 0; i < 20; i++) await writer.append(Buffer.alloc(10_000, 3));
    };
    await expect(pieces()).rejects.toThrowError(coded('store-full'));
    await writer.abort();
    expect(readdirSync(disk, { recursive: true }).sort()).toEqual(['d', 'old']);
    expect((await small.readAll('old')).equals(Buffer.alloc(100_000, 1))).toBe(true);
    await small.remove('old');
    await small.write('new', large);
    expect((await small.readAll('new')).equals(large)).toBe(true);
    await small.close();
  });

  it('is store-failed where it is read-only, and what is there can be read', async () => {
    const small = await openFileStore(disk);
    await small.write('kept', Buffer.from('x'));
    execFileSync('mount', ['-o', 'remount,ro', disk]);
    await expect(small.write('a', Buffer.from('x'))).rejects.toThrowError(coded('store-failed'));
    await expect(small.remove('kept')).rejects.toThrowError(coded('store-failed'));
    expect((await small.readAll('kept')).toString()).toBe('x');
    await small.close();
  });
});

const limit = (bytes: number | 'unlimited') =>
  spawnSync('prlimit', ['--pid', String(process.pid), `--fsize=${bytes}:`]).status === 0;

describe.runIf(limit('unlimited'))('a limit on the size of files', () => {
  afterEach(() => {
    limit('unlimited');
  });

  it('is store-full too', async () => {
    limit(50_000);
    const writing = store.write('a', Buffer.alloc(60_000));
    await expect(writing).rejects.toThrowError(coded('store-full'));
    expect(readdirSync(place(''))).toEqual([]);
    limit('unlimited');
    await store.write('a', Buffer.alloc(60_000));
    expect(await store.size('a')).toBe(60_000);
  });
});
