import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bufferCount,
  bytesOf,
  type Column,
  columnBytes,
  concatColumns,
  fixedWidth,
  int32Of,
  listCell,
  packBits,
  readRows,
  unpackBits,
} from '../../src/formats/layout.ts';
import { columnOf, plain, typedRows } from '../support/columns.ts';

/** Serves bytes of a column, and counts them; a range beyond a buffer fails, as in a store. */
function fetchFrom({ buffers }: Column) {
  const counter = { bytes: 0 };
  const fetch = async (buffer: number, offset: number, length: number) => {
    const end = offset + length;
    if (!(offset >= 0 && length >= 0 && end <= buffers[buffer].length)) {
      throw new Error(`bytes ${offset} to ${end} of ${buffers[buffer].length} in ${buffer}`);
    }
    counter.bytes += length;
    const shifted = new Uint8Array(length + 1); // unaligned, as in a file
    shifted.set(buffers[buffer].subarray(offset, end), 1);
    return shifted.subarray(1);
  };
  return { fetch, counter };
}

describe('readRows', () => {
  it('gives any run of rows of any type, as if they had been written alone', async () => {
    const property = fc.asyncProperty(typedRows, fc.nat(), fc.nat(), async (given, a, b) => {
      const { type, values } = given;
      const [from, to] = [a % (values.length + 1), b % (values.length + 1)].sort((x, y) => x - y);
      const { fetch } = fetchFrom(columnOf(type, values));
      const found = await readRows(type, { from, to }, fetch);
      expect(plain(found)).toEqual(plain(columnOf(type, values.slice(from, to))));
      expect(found.buffers).toHaveLength(bufferCount(type));
    });
    await fc.assert(property, { numRuns: 600 });
  });

  it('touches only the bytes that the rows occupy', async () => {
    const type = { type: 'list', item: { type: 'uint32' } } as const;
    const values = Array.from({ length: 1000 }, (_, i) => new Array(100).fill(i));
    const { fetch, counter } = fetchFrom(columnOf(type, values));
    await readRows(type, { from: 500, to: 502 }, fetch);
    expect(counter.bytes).toBe(3 * 4 + 2 * 100 * 4);
  });
});

describe('concatColumns', () => {
  it('joins runs of any type into what the whole would be', () => {
    fc.assert(
      fc.property(typedRows, fc.array(fc.nat(), { maxLength: 3 }), ({ type, values }, cuts) => {
        const at = [0, ...cuts.map((cut) => cut % (values.length + 1)), values.length];
        const ends = at.sort((x, y) => x - y);
        const parts = ends.slice(1).map((end, i) => columnOf(type, values.slice(ends[i], end)));
        const whole = columnOf(type, values);
        expect(plain(concatColumns(type, parts))).toEqual(plain(whole));
        expect(columnBytes(whole)).toBe(whole.buffers.reduce((sum, b) => sum + b.length, 0));
      }),
      { numRuns: 600 },
    );
  });

  it('undoes readRows: slices of a whole join into it again', async () => {
    const property = fc.asyncProperty(typedRows, async ({ type, values }) => {
      const whole = columnOf(type, values);
      const { fetch } = fetchFrom(whole);
      const rows = await Promise.all(
        values.map((_, row) => readRows(type, { from: row, to: row + 1 }, fetch)),
      );
      expect(plain(concatColumns(type, rows))).toEqual(plain(whole));
    });
    await fc.assert(property, { numRuns: 300 });
  });
});

describe('cells and bits', () => {
  it('a list cell is a list column of one row', () => {
    const type = { type: 'list', item: { type: 'float32' } } as const;
    const values = Float32Array.of(1, 2, 3);
    expect(plain(listCell(bytesOf(values), 3))).toEqual(plain(columnOf(type, [[1, 2, 3]])));
  });

  it('bits are packed from the lowest on, and unpacked again', () => {
    expect(Array.from(packBits(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 1, 1)))).toEqual([129, 1]);
    fc.assert(
      fc.property(fc.array(fc.nat(1), { maxLength: 70 }), (flags) => {
        const bits = packBits(Uint8Array.from(flags));
        expect(Array.from(unpackBits(bits, flags.length))).toEqual(flags);
      }),
    );
  });

  it('int32 views read unaligned bytes', () => {
    const bytes = new Uint8Array(13);
    bytes.set(bytesOf(Int32Array.of(1, -2, 3)), 1);
    expect(Array.from(int32Of(bytes.subarray(1)))).toEqual([1, -2, 3]);
    expect(Array.from(int32Of(bytes.slice(1)))).toEqual([1, -2, 3]);
  });

  it('widths are known where values have one', () => {
    const float = { type: 'float32' } as const;
    expect(fixedWidth({ type: 'fixed_list', size: 4, item: float })).toBe(16);
    expect(fixedWidth({ type: 'fixed_binary', size: 16 })).toBe(16);
    expect(fixedWidth({ type: 'bool' })).toBeUndefined();
    expect(fixedWidth({ type: 'fixed_list', size: 4, item: { type: 'utf8' } })).toBeUndefined();
  });
});
