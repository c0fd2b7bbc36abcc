import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { decodeIndex, decodeIndexHeader, encodeIndex } from '../../src/shard/index-file.ts';
import { coded } from '../contracts/store.ts';

const u32 = fc.nat(2 ** 32 - 1);
const u53 = fc.maxSafeNat();
const sha256 = fc.uint8Array({ minLength: 32, maxLength: 32 });

const header = fc.record({
  positions: u53,
  learned: u53,
  entries: u53,
  nextInput: u53,
  shardBytes: u53,
  shardDigest: sha256,
});
const row = fc.record({
  sampleId: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  positions: u32,
  learned: u32,
});

/** Batches that follow one another, and a row for each of their samples. */
const indexes = fc
  .array(fc.record({ rows: fc.nat(3), offset: u53, metadataBytes: u32 }), { maxLength: 5 })
  .chain((all) => {
    let samples = 0;
    const batches = all.map((batch) => {
      samples += batch.rows;
      return { firstRow: samples - batch.rows, ...batch };
    });
    const rows = fc.array(row, { minLength: samples, maxLength: samples });
    return fc.record({ header, batches: fc.constant(batches), rows });
  });

it('gives back header, batches and rows', () => {
  fc.assert(
    fc.property(indexes, ({ header, batches, rows }) => {
      const bytes = encodeIndex(header, batches, rows);
      const found = decodeIndex(bytes, 'a.index');
      const { samples, batches: count, shardDigest, ...numbers } = found.header;
      expect({ samples, count }).toEqual({ samples: rows.length, count: batches.length });
      expect({ ...numbers, shardDigest: new Uint8Array(shardDigest) }).toEqual(header);
      expect(found.batches).toEqual(batches);
      expect(found.rows).toHaveLength(24 * rows.length);
      rows.forEach(({ sampleId, positions, learned }, i) => {
        const row = found.rows.subarray(24 * i);
        expect(row.subarray(0, 16).equals(sampleId)).toBe(true);
        expect([row.readUInt32LE(16), row.readUInt32LE(20)]).toEqual([positions, learned]);
      });
    }),
  );
});

const small = () => {
  const header = {
    positions: 7,
    learned: 6,
    entries: 9,
    nextInput: 2,
    shardBytes: 1000,
    shardDigest: Buffer.alloc(32, 7),
  };
  const batch = { firstRow: 0, rows: 2, offset: 8, metadataBytes: 100 };
  const row = { sampleId: Buffer.alloc(16, 1), positions: 4, learned: 3 };
  return encodeIndex(header, [batch], [row, row]);
};

it('lies as docs/format.md says', () => {
  const bytes = small();
  expect(bytes.toString('latin1', 0, 4)).toBe('LCIX');
  expect(bytes).toHaveLength(96 + 24 + 2 * 24);
  const words = [4, 8, 12].map((at) => bytes.readUInt32LE(at));
  expect(words).toEqual([1, 2, 1]);
  const longs = [16, 24, 32, 40, 48].map((at) => Number(bytes.readBigUInt64LE(at)));
  expect(longs).toEqual([7, 6, 9, 2, 1000]);
  expect(bytes.subarray(56, 88)).toEqual(Buffer.alloc(32, 7));
  expect(Number(bytes.readBigUInt64LE(96 + 8))).toBe(8);
});

it('is refused at every flipped bit and every other length', () => {
  const bytes = small();
  const damaged = coded('index-damaged');
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    bytes[bit >> 3] ^= 1 << (bit & 7);
    expect(() => decodeIndex(bytes, 'a.index')).toThrowError(damaged);
    bytes[bit >> 3] ^= 1 << (bit & 7);
  }
  for (let length = 0; length < bytes.length; length++) {
    expect(() => decodeIndex(bytes.subarray(0, length), 'a.index')).toThrowError(damaged);
  }
  expect(() => decodeIndex(Buffer.concat([bytes, bytes]), 'a.index')).toThrowError(damaged);
  const named = expect.objectContaining({ message: expect.stringContaining('b.index') });
  expect(() => decodeIndex(randomBytes(200), 'b.index')).toThrowError(named);
});

it('has a header that can be read alone, given the size of the file', () => {
  const bytes = small();
  const header = decodeIndexHeader(bytes.subarray(0, 96), bytes.length, 'a.index');
  expect(header).toMatchObject({ samples: 2, batches: 1, positions: 7, nextInput: 2 });
  expect(() => decodeIndexHeader(bytes.subarray(0, 96), 95, 'a.index')).toThrowError(
    coded('index-damaged'),
  );
});

it.each([
  [[1, 2], 'batch 0 from row 0'],
  [[0, 2], '3 samples in batches'],
  [[0, 3, 2, 1], 'batch 1 from row 3'],
] as const)('refuses batches that do not follow one another: %j', (fields, expected) => {
  const batches = [];
  for (let i = 0; i < fields.length; i += 2) {
    batches.push({ firstRow: fields[i], rows: fields[i + 1], offset: 8, metadataBytes: 8 });
  }
  const numbers = { positions: 9, learned: 9, entries: 9, nextInput: 9, shardBytes: 9 };
  const rows = Array.from({ length: 3 }, () => ({
    sampleId: randomBytes(16),
    positions: 3,
    learned: 3,
  }));
  const bytes = encodeIndex({ ...numbers, shardDigest: randomBytes(32) }, batches, rows);
  expect(() => decodeIndex(bytes, 'a.index')).toThrowError(
    expect.objectContaining({ code: 'index-damaged', expected }),
  );
});
