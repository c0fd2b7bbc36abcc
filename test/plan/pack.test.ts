import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPacker, type Pack } from '../../src/plan/pack.ts';
import { openPacking, writePacking } from '../../src/plan/packing.ts';
import { memoryStore } from '../support/plans.ts';

function packAll(lengths: readonly number[], options: { length: number; window: number }): Pack[] {
  const packer = createPacker(options);
  const packs = lengths.flatMap((positions, ordinal) => packer.add(ordinal, positions));
  return [...packs, ...packer.finish()];
}

const shapes = fc.record({
  lengths: fc.array(fc.integer({ min: 0, max: 90 }), { maxLength: 300 }),
  length: fc.integer({ min: 1, max: 64 }),
  window: fc.integer({ min: 1, max: 40 }),
});

describe('packs', () => {
  it('hold every position of every document exactly once, and never too many', () => {
    fc.assert(
      fc.property(shapes, ({ lengths, length, window }) => {
        const packs = packAll(lengths, { length, window });
        const seen = lengths.map((positions) => new Uint8Array(positions));
        const pieces = lengths.map(() => 0);
        for (const pack of packs) {
          const filled = pack.reduce((sum, { positions }) => sum + positions, 0);
          expect(filled).toBeLessThanOrEqual(length);
          for (const { ordinal, first, positions } of pack) {
            pieces[ordinal]++;
            for (let t = first; t < first + positions; t++) seen[ordinal][t]++;
          }
        }
        expect(seen.every((document) => document.every((times) => times === 1))).toBe(true);
        // split only where a document is longer than a pack
        const asFew = lengths.map((positions) => Math.max(1, Math.ceil(positions / length)));
        expect(pieces).toEqual(asFew);
      }),
      { numRuns: 300 },
    );
  });

  it('puts a piece where the least room is left, the oldest among equals', () => {
    const packs = packAll([6, 5, 4, 3, 5], { length: 10, window: 10 });
    const ordinals = packs.map((pack) => pack.map(({ ordinal }) => ordinal));
    expect(ordinals).toEqual([[0, 2], [1, 3], [4]]);
    const equal = packAll([6, 6, 4], { length: 10, window: 10 });
    expect(equal.map((pack) => pack.map(({ ordinal }) => ordinal))).toEqual([[0, 2], [1]]);
  });

  it('closes the fullest where too many are open', () => {
    const packs = packAll([7, 8, 9], { length: 10, window: 2 });
    expect(packs.map(([{ ordinal }]) => ordinal)).toEqual([2, 0, 1]);
  });

  it('fills well: less than 2 % is padding for documents a quarter of a pack long', () => {
    const lengths = Array.from({ length: 20_000 }, (_, i) => 1 + ((i * 7919) % 511));
    const packs = packAll(lengths, { length: 1024, window: 256 });
    const positions = lengths.reduce((sum, n) => sum + n, 0);
    expect(positions / (packs.length * 1024)).toBeGreaterThan(0.98);
  });

  it('are those of the golden file', () => {
    const golden = JSON.parse(readFileSync('data/packing-golden.json', 'utf8'));
    for (const { lengths, length, window, packs } of golden) {
      const got = packAll(lengths, { length, window }).map((pack) =>
        pack.map(({ ordinal, first, positions }) => [ordinal, first, positions]),
      );
      expect(got).toEqual(packs);
    }
  });
});

describe('a file of packs', () => {
  const lengths = Array.from({ length: 5000 }, (_, i) => 1 + ((i * 31) % 97));
  const packing = { length: 64, window: 16 };
  async function* documents() {
    for (let from = 0; from < lengths.length; from += 700) {
      const positions = lengths.slice(from, from + 700);
      yield { ordinals: positions.map((_, i) => from + i), positions };
    }
  }

  it('gives back any pack, touching one page of it', async () => {
    const store = memoryStore();
    const written = await writePacking(store, 'packs', { packing, documents: documents() });
    const packs = packAll(lengths, packing);
    expect(written.packs).toBe(packs.length);
    expect(written.positions).toBe(lengths.reduce((sum, n) => sum + n, 0));
    const packOf = await openPacking(store, 'packs', written.sha256);
    store.reads.length = 0;
    for (const item of [0, 1, 255, 256, 257, packs.length - 1]) {
      expect(await packOf(item)).toEqual(packs[item]);
    }
    expect(store.reads.length).toBe(3);
    await expect(packOf(packs.length)).rejects.toMatchObject({ code: 'index-damaged' });
  });

  it('is the same file again', async () => {
    const store = memoryStore();
    const first = await writePacking(store, 'a', { packing, documents: documents() });
    const second = await writePacking(store, 'b', { packing, documents: documents() });
    expect(second).toEqual(first);
    expect(store.files.get('a')).toEqual(store.files.get('b'));
  });

  it('is refused where any byte is another', async () => {
    const store = memoryStore();
    const { sha256, packs } = await writePacking(store, 'packs', {
      packing,
      documents: documents(),
    });
    const whole = store.files.get('packs')!;
    for (let at = 0; at < whole.length; at += 97) {
      const bytes = Buffer.from(whole);
      bytes[at] ^= 16;
      store.files.set('packs', bytes);
      const readAll = async () => {
        const packOf = await openPacking(store, 'packs', sha256);
        for (let item = 0; item < packs; item += 256) await packOf(item);
      };
      await expect(readAll(), `byte ${at} of ${whole.length}`).rejects.toThrow();
    }
  });
});
