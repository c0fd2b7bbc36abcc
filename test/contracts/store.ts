/** What every store must do: one suite, run by each backend's own test. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Store } from '../../src/store/store.ts';
import { random } from '../support/dump.ts';

export interface OpenedStore {
  readonly store: Store;
  /** Another store over the same place, as another process would open it. */
  again(): Promise<Store>;
  /** Closes and removes everything. */
  end(): Promise<void>;
}

export const coded = (code: string) => expect.objectContaining({ code });

export const badNames = [
  '',
  '.',
  '..',
  '../a',
  'a/../b',
  'a/..',
  '/a',
  '//a',
  'a//b',
  'a/',
  './a',
  '.hidden',
  'a/.hidden',
  'a\0b',
  'a\\b',
  'a b',
  'a\n',
  'ä',
  '-a',
  'C:a',
  '%2e%2e/a',
  'x'.repeat(513),
];

const bytes = (text: string) => Buffer.from(text);

export function describeStore(name: string, open: () => Promise<OpenedStore>): void {
  let opened: OpenedStore;
  let store: Store;
  beforeEach(async () => {
    opened = await open();
    store = opened.store;
  });
  afterEach(() => opened.end());

  describe(`${name} as a store of whole files`, () => {
    it('gives back what was written: whole, and by position', async () => {
      const content = Buffer.from(Array.from({ length: 100_000 }, (_, i) => i * 7));
      await store.write('a/b/c.bin', content);
      expect((await store.readAll('a/b/c.bin')).equals(content)).toBe(true);
      expect(await store.size('a/b/c.bin')).toBe(content.length);
      const next = random(1);
      for (let i = 0; i < 100; i++) {
        const offset = Math.floor(next() * content.length);
        const length = Math.floor(next() * (content.length - offset + 1));
        const piece = await store.read('a/b/c.bin', offset, length);
        const into = Buffer.alloc(length, 7);
        await store.readInto('a/b/c.bin', offset, into);
        expect(into.equals(piece)).toBe(true);
        expect(piece.equals(content.subarray(offset, offset + length))).toBe(true);
      }
    });

    it('keeps an empty file', async () => {
      await store.write('empty', Buffer.alloc(0));
      expect(await store.size('empty')).toBe(0);
      expect(await store.readAll('empty')).toHaveLength(0);
      expect(await store.read('empty', 0, 0)).toHaveLength(0);
    });

    it('fails beyond the end, it never gives less', async () => {
      await store.write('a', bytes('0123456789'));
      expect((await store.read('a', 0, 10)).toString()).toBe('0123456789');
      for (const [offset, length] of [
        [0, 11],
        [9, 2],
        [10, 1],
        [1e12, 1],
        [0, 2 ** 40],
        [-1, 1],
      ]) {
        if (length < 1000) {
          const into = store.readInto('a', offset, Buffer.alloc(length));
          await expect(into).rejects.toThrowError(coded('store-truncated'));
        }
        await expect(store.read('a', offset, length)).rejects.toThrowError(
          coded('store-truncated'),
        );
      }
    });

    it('says where there is nothing', async () => {
      await store.write('a/b', bytes('x'));
      for (const absent of ['b', 'a', 'a/c', 'a/b/c', 'c/d/e']) {
        expect(await store.size(absent)).toBeUndefined();
        await expect(store.read(absent, 0, 1)).rejects.toThrowError(coded('store-not-found'));
        await expect(store.readAll(absent)).rejects.toThrowError(coded('store-not-found'));
      }
      await store.remove('b');
    });

    it('gives a file a second name, which stays as it is whatever the first one becomes', async () => {
      await store.write('a/one', bytes('first'));
      await store.write('b/two', bytes('replaced'));
      await store.read('b/two', 0, 1); // now it may be kept open
      for (let times = 0; times < 2; times++) {
        if (!(await store.link('a/one', 'b/two'))) return; // it cannot: nothing has changed
        expect((await store.read('b/two', 0, 5)).toString()).toBe('first');
        expect((await store.readAll('a/one')).toString()).toBe('first');
      }
      await store.write('a/one', bytes('other'));
      expect((await store.readAll('b/two')).toString()).toBe('first');
      await store.remove('a/one');
      expect((await store.readAll('b/two')).toString()).toBe('first');
      await expect(store.link('a/one', 'b/two')).rejects.toThrowError(coded('store-not-found'));
      await expect(store.link('b/two', '../c')).rejects.toThrowError(coded('name-invalid'));
      expect(await store.list('b')).toEqual(['two']);
    });

    it('refuses a whole file above the size asked for', async () => {
      await store.write('a', bytes('0123456789'));
      expect(await store.readAll('a', 10)).toHaveLength(10);
      await expect(store.readAll('a', 9)).rejects.toThrowError(coded('store-failed'));
    });

    it('lists what lies directly below a folder, sorted', async () => {
      for (const path of ['b/2', 'b/10', 'b/1', 'a', 'b/c/d']) await store.write(path, bytes('x'));
      expect(await store.list('')).toEqual(['a', 'b']);
      expect(await store.list('b')).toEqual(['1', '10', '2', 'c']);
      expect(await store.list('b/c')).toEqual(['d']);
      for (const absent of ['nothing', 'a', 'a/b']) expect(await store.list(absent)).toEqual([]);
    });

    it('removes', async () => {
      await store.write('a', bytes('x'));
      await store.read('a', 0, 1);
      await store.remove('a');
      expect(await store.size('a')).toBeUndefined();
      await expect(store.read('a', 0, 1)).rejects.toThrowError(coded('store-not-found'));
    });

    it('removes folders with all that is in them', async () => {
      for (const name of ['a/b', 'a/c/d', 'ab']) await store.write(name, bytes('x'));
      await store.read('a/b', 0, 1);
      await store.removeFolder('a');
      await store.removeFolder('a');
      expect(await store.list('')).toEqual(['ab']);
      await expect(store.read('a/b', 0, 1)).rejects.toThrowError(coded('store-not-found'));
    });

    it.each(badNames)('refuses the name %j', async (bad) => {
      const actions: (() => Promise<unknown>)[] = [
        () => store.read(bad, 0, 1),
        () => store.readAll(bad),
        () => store.size(bad),
        () => store.write(bad, bytes('x')),
        () => store.create(bad),
        () => store.remove(bad),
        () => store.removeFolder(bad),
      ];
      for (const action of bad === '' ? actions : [...actions, () => store.list(bad)]) {
        await expect(action()).rejects.toThrowError(coded('name-invalid'));
      }
    });
  });

  describe(`${name} under writers`, () => {
    it('shows nothing before the commit', async () => {
      const writer = await store.create('d/a');
      await writer.append(bytes('one '));
      await writer.append(bytes('two'));
      expect(writer.bytesWritten).toBe(7);
      expect(await store.size('d/a')).toBeUndefined();
      expect(await store.list('d')).toEqual([]);
      await writer.commit();
      expect((await store.readAll('d/a')).toString()).toBe('one two');
      expect(await store.list('d')).toEqual(['a']);
    });

    it('leaves nothing after an abort, however often', async () => {
      const writer = await store.create('d/a');
      await writer.append(bytes('x'));
      await writer.abort();
      await writer.abort();
      expect(await store.size('d/a')).toBeUndefined();
      expect(await store.list('d')).toEqual([]);
      await expect(writer.append(bytes('y'))).rejects.toThrowError(coded('store-failed'));
    });

    it('keeps the old file through an abort, and replaces it whole in a commit', async () => {
      await store.write('a', bytes('old'));
      const first = await store.create('a');
      await first.append(bytes('newer'));
      await first.abort();
      expect((await store.read('a', 0, 3)).toString()).toBe('old');
      const second = await store.create('a');
      await second.append(bytes('newer'));
      expect((await store.read('a', 0, 3)).toString()).toBe('old');
      await second.commit();
      expect((await store.read('a', 0, 5)).toString()).toBe('newer');
      expect(await store.size('a')).toBe(5);
    });

    it('never shows a mixture while a file is replaced again and again', async () => {
      const content = (round: number) => Buffer.alloc(5000, round);
      await store.write('a', content(0));
      let done = false;
      const reading = (async () => {
        for (let last = 0; !done; ) {
          const seen = await store.readAll('a');
          expect(seen.equals(content(seen[0]))).toBe(true);
          expect(seen[0]).toBeGreaterThanOrEqual(last);
          last = seen[0];
        }
      })();
      for (let round = 1; round <= 30; round++) await store.write('a', content(round));
      done = true;
      await reading;
    });

    it('writes a name only once where it must not replace: one of many wins', async () => {
      const other = await opened.again();
      const attempts = Array.from({ length: 8 }, (_, i) =>
        (i % 2 === 0 ? store : other).write('lock', bytes(String(i)), { replace: false }),
      );
      const results = await Promise.allSettled(attempts);
      const winner = results.findIndex(({ status }) => status === 'fulfilled');
      const losers = results.filter((r) => r.status === 'rejected');
      expect(losers.map(({ reason }) => reason.code)).toEqual(new Array(7).fill('store-exists'));
      expect((await other.readAll('lock')).toString()).toBe(String(winner));
      expect(await store.list('')).toEqual(['lock']);
      await other.close();
    });

    it('reads many files at once, far more than it keeps open', async () => {
      const names = Array.from({ length: 200 }, (_, i) => `many/${i}`);
      await Promise.all(names.map((path, i) => store.write(path, Buffer.alloc(300, i))));
      const reads = Array.from({ length: 4 }, () => names).flat();
      const pieces = await Promise.all(reads.map((path) => store.read(path, 100, 100)));
      pieces.forEach((piece, i) => {
        expect(piece.every((byte) => byte === i % 200)).toBe(true);
      });
    });

    it('leaves the files of living writers in a sweep', async () => {
      const writer = await store.create('a');
      await writer.append(bytes('x'));
      expect(await store.sweep()).toBe(0);
      await writer.commit();
      expect((await store.readAll('a')).toString()).toBe('x');
    });

    it('is seen by another opening of the same place', async () => {
      await store.write('d/a', bytes('x'));
      const other = await opened.again();
      expect((await other.read('d/a', 0, 1)).toString()).toBe('x');
      expect(other.url).toBe(store.url);
      await other.close();
    });
  });
}
