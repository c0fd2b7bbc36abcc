import fc from 'fast-check';
import { parquetReadObjects } from 'hyparquet';
import { describe, expect, it } from 'vitest';
import type { Columns, ColumnTypes } from '../../src/formats/arrow.ts';
import type { ColumnType } from '../../src/formats/layout.ts';
import { footerBytes } from '../../src/formats/parquet-footer.ts';
import { readChunk } from '../../src/formats/parquet-pages.ts';
import { parquetFileWriter } from '../../src/formats/parquet-writer.ts';
import { zstdDecompress } from '../../src/formats/zstd.ts';
import { batchOf, columnOf, plain } from '../support/columns.ts';
import { readParquet, writeParquet } from '../support/parquet.ts';

const flat: readonly ColumnType[] = [
  ...(['int32', 'uint8', 'uint16', 'uint32', 'uint64', 'float16', 'float32'] as const).map(
    (type) => ({ type }),
  ),
  { type: 'bool' },
  { type: 'utf8' },
  { type: 'binary' },
  { type: 'fixed_binary', size: 3 },
];
const all = [...flat, ...flat.map((item): ColumnType => ({ type: 'list', item }))];
const types: ColumnTypes = Object.fromEntries(all.map((type, i) => [`column${i}`, type]));

const plainBatch = (columns: Columns) =>
  Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, plain(column)]));

const small: ColumnTypes = {
  tokens: { type: 'list', item: { type: 'int32' } },
  ids: { type: 'list', item: { type: 'uint32' } },
  levels: { type: 'list', item: { type: 'uint16' } },
  half: { type: 'list', item: { type: 'float16' } },
  mask: { type: 'list', item: { type: 'bool' } },
  meta: { type: 'utf8' },
  id: { type: 'fixed_binary', size: 2 },
};
const rows = 5;
const smallBatch: Columns = {
  tokens: columnOf(small.tokens, [[1, -2, 3], [], [4], [], [5, 6]]),
  ids: columnOf(small.ids, [[0, 4e9], [7], [], [8], [2 ** 32 - 1]]),
  levels: columnOf(small.levels, [[1], [2, 65_535], [], [0], []]),
  half: columnOf(small.half, [[0xc000, 0x7e01], [0x3c00], [], [], [1]]),
  mask: columnOf(small.mask, [[true, false], [], [true], [true], [false]]),
  meta: columnOf(small.meta, [[...Buffer.from('é')], [], [123, 125], [50], [51]]),
  id: columnOf(small.id, [
    [9, 9],
    [1, 255],
    [2, 0],
    [1, 3],
    [5, 5],
  ]),
};

describe('a Parquet file of our columns', () => {
  it('gives back every byte of any rows, and its metadata', () => {
    const batches = fc.array(batchOf(types, 6), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(batches, fc.dictionary(fc.string(), fc.string()), (written, metadata) => {
        const read = readParquet(writeParquet(types, written, metadata), types);
        expect(read.batches.map(plainBatch)).toEqual(written.map(plainBatch));
        expect({ ...read.metadata }).toEqual({ ...metadata });
      }),
      { numRuns: 150 },
    );
  });

  it('gives the same bytes for the same rows', () => {
    const [a, b] = [0, 1].map(() => writeParquet(small, [smallBatch, smallBatch], { a: 'b' }));
    expect(a.equals(b)).toBe(true);
  });

  it('is read by another implementation, value for value', async () => {
    const bytes = writeParquet(small, [smallBatch]);
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
    const compressors = { ZSTD: zstdDecompress };
    const read = await parquetReadObjects({ file: file as ArrayBuffer, compressors });
    const of = (name: string) => read.map((row) => row[name]);
    expect(of('tokens')).toEqual([[1, -2, 3], [], [4], [], [5, 6]]);
    expect(of('ids')).toEqual([[0, 4e9], [7], [], [8], [2 ** 32 - 1]]);
    expect(of('levels')).toEqual([[1], [2, 65_535], [], [0], []]);
    expect(of('half')).toEqual([[-2, Number.NaN], [1], [], [], [2 ** -24]]);
    expect(of('mask')).toEqual([[true, false], [], [true], [true], [false]]);
    expect(of('meta')).toEqual(['é', '', '{}', '2', '3']);
  });

  it.each([
    ['float32', 'uint32'],
    ['uint32', 'float32'],
  ] as const)('has pages that are read in either encoding (%s as %s)', (from, to) => {
    const types = { values: { type: 'list', item: { type: from } } } as const;
    const column = columnOf(types.values, [[1.5e9, 3], [], [7]]);
    const bytes = writeParquet(types, [{ values: column }]);
    const length = footerBytes(bytes.subarray(-8), bytes.length);
    const chunk = bytes.subarray(4, bytes.length - length);
    const read = { name: 'values', type: { type: 'list', item: { type: to } }, rows: 3 } as const;
    expect(plain(readChunk(chunk, read))).toEqual(plain(column));
  });

  it('keeps every bit of a float16, payloads of NaN included', () => {
    const bits = Array.from({ length: 65_536 }, (_, i) => i);
    const column = { half: { type: 'list', item: { type: 'float16' } } } as const;
    const batch = { half: columnOf(column.half, [bits]) };
    const [read] = readParquet(writeParquet(column, [batch]), column).batches;
    expect(plain(read.half)).toEqual(plain(batch.half));
  });

  it('refuses types that it has no form for', () => {
    const nested: ColumnType = { type: 'list', item: { type: 'list', item: { type: 'int32' } } };
    expect(() => parquetFileWriter({ nested }, {})).toThrowError(
      expect.objectContaining({ code: 'manifest-unsupported' }),
    );
  });
});

describe('a damaged Parquet file', () => {
  const whole = writeParquet(small, [smallBatch, smallBatch], { key: 'value' });
  const read = (bytes: Buffer) => readParquet(bytes, small);

  it('is refused or read as it was, whatever bit is flipped', () => {
    const content = (bytes: Buffer) =>
      Buffer.concat(
        read(bytes).batches.flatMap((batch) => Object.values(batch).flatMap((c) => c.buffers)),
      );
    const before = content(whole);
    const found = { refused: 0, same: 0, wrong: 0 };
    for (let bit = 0; bit < whole.length * 8; bit += 3) {
      const bytes = Buffer.from(whole);
      bytes[bit >> 3] ^= 1 << (bit & 7);
      try {
        // flips in statistics, in the writer's name and in other unread places change no row
        found[content(bytes).equals(before) ? 'same' : 'wrong']++;
      } catch {
        found.refused++;
      }
    }
    expect(found.wrong).toBe(0);
    expect(found.refused).toBeGreaterThan(found.same);
  });

  it('is refused wherever it is cut', () => {
    for (let length = 0; length < whole.length; length++) {
      expect(() => read(Buffer.from(whole.subarray(0, length)))).toThrow();
    }
  });

  it('never hangs or fills the memory on any footer', () => {
    const footer = footerBytes(whole.subarray(-8), whole.length);
    const random = fc.uint8Array({ minLength: footer - 8, maxLength: footer - 8 });
    const patched = (bytes: Uint8Array) => {
      const copy = Buffer.from(whole);
      copy.set(bytes, whole.length - footer);
      return copy;
    };
    fc.assert(
      fc.property(random, (bytes) => {
        expect(() => read(patched(bytes))).toThrow();
      }),
    );
    // a number that goes on for ever, a list of 2^31 items, structs in structs
    const endless = new Uint8Array(footer - 8).fill(0xff);
    const list = Uint8Array.of(0x19, 0xf5, 0xff, 0xff, 0xff, 0xff, 0x07);
    const deep = new Uint8Array(footer - 8).fill(0x1c);
    for (const bytes of [Uint8Array.of(0x15, ...endless.subarray(1)), list, deep]) {
      expect(() => read(patched(bytes))).toThrow();
    }
  });

  it.each([0xffffffff, 2 ** 24 + 1, whole.length])('is refused with a footer of %d', (length) => {
    const bytes = Buffer.from(whole);
    bytes.writeUInt32LE(length, bytes.length - 8);
    expect(() => read(bytes)).toThrow('footer');
  });

  it('is refused with rows of another number than its pages have', () => {
    expect(rows).toBe(smallBatch.id.rows);
    const other = { ...small, levels: small.ids };
    expect(() => readParquet(whole, other)).toThrow('other columns');
  });
});
