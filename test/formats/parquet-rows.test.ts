import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { listsSource } from '../../schemas/build-config.ts';
import { openListsSource } from '../../src/capture/lists.ts';
import type { ListRows } from '../../src/distribution/rows.ts';
import { LogitcaskError } from '../../src/errors.ts';
import type { Nested } from '../../src/formats/nested.ts';
import { openParquetRows } from '../../src/formats/parquet-rows.ts';
import { type PageHeader, readDataPage, readRuns } from '../../src/formats/parquet-rows-page.ts';
import type { RowCell } from '../../src/formats/rows-file.ts';
import { allChunks, describeSource } from '../contracts/source.ts';

const golden = 'test/golden/lists';
const names = ['distillkit', 'axolotl', 'positions'] as const;
const folder = mkdtempSync(join(tmpdir(), 'logitcask-parquet-rows-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function allRows(file: string): Promise<Record<string, RowCell>[]> {
  const parquet = await openParquetRows(file);
  const rows: Record<string, RowCell>[] = [];
  try {
    for await (const row of parquet.rows(parquet.columns)) rows.push(row);
  } finally {
    await parquet.close();
  }
  return rows;
}

const open = (file: string) =>
  openListsSource(listsSource.parse({ type: 'lists', lists: [file], vocabulary: 8192 }));

/** Tokens and lists at all positions but the last of each sample. */
async function contentsOf(file: string) {
  const source = await open(file);
  return (await allChunks(source.chunks(0))).map(({ sample, rows }) => {
    const { offsets, ids, logprobs } = rows as ListRows;
    const end = offsets[sample.tokens.length - 1];
    const [tokens, mask] = [[...sample.tokens], [...sample.mask]];
    return { tokens, mask, ids: [...ids.subarray(0, end)], p: [...logprobs.subarray(0, end)] };
  });
}

describe.each(names)('%s of pyarrow', (name) => {
  const file = join(golden, `${name}.parquet`);
  describeSource(name, () => open(file));

  it('holds what the JSON lines hold', async () => {
    const expected = await contentsOf(join(golden, 'samples.jsonl'));
    expect(expected).toHaveLength(4);
    expect(await contentsOf(file)).toEqual(expected);
  });
});

describe('rows of Parquet', () => {
  it('have numbers, texts, lists and lists of lists', async () => {
    const [first] = await allRows(join(golden, 'positions.parquet'));
    expect(first).toMatchObject({ sample: 's0', position: 0, token: expect.any(Number) });
    expect(first.ids).toBeInstanceOf(Float64Array);
    const [nested] = await allRows(join(golden, 'axolotl.parquet'));
    const { offsets, values } = nested.target_mask as Nested;
    expect([offsets.length, offsets[16], values.length]).toEqual([17, 128, 128]);
    expect([values[0], values[127]]).toEqual([1, 0]);
  });

  it('can be left in the middle; the file is closed', async () => {
    const parquet = await openParquetRows(join(golden, 'positions.parquet'));
    for await (const row of parquet.rows(['token'])) {
      expect(Object.keys(row)).toEqual(['token']);
      break;
    }
    await parquet.close();
    await expect(parquet.rows(['token']).next()).rejects.toMatchObject({
      code: 'source-unreadable',
    });
  });

  it('of a column that is not there are refused', async () => {
    const parquet = await openParquetRows(join(golden, 'positions.parquet'));
    const message = expect.stringContaining('no column labels');
    await expect(parquet.rows(['labels']).next()).rejects.toMatchObject({ message });
    await parquet.close();
  });

  it('of a damaged file are rows or `source-unreadable`, never a hang', async () => {
    const files = names.map((name) => readFileSync(join(golden, `${name}.parquet`)));
    const path = join(folder, 'damaged.parquet');
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...files),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        fc.option(fc.nat()),
        async (bytes, changes, cut) => {
          const damaged = Buffer.from(bytes);
          for (const [at, value] of changes) damaged[at % damaged.length] = value;
          writeFileSync(path, cut === null ? damaged : damaged.subarray(0, cut % bytes.length));
          try {
            expect((await allRows(path)).length).toBeLessThanOrEqual(64);
          } catch (error) {
            expect(error).toBeInstanceOf(LogitcaskError);
            expect(error).toMatchObject({ code: 'source-unreadable' });
            refused++;
          }
        },
      ),
      { numRuns: 600 },
    );
    expect(refused).toBeGreaterThan(100);
  });

  it.each([
    [
      'a footer longer than the file',
      (bytes: Buffer) => bytes.writeUInt32LE(2 ** 31, bytes.length - 8),
    ],
    [
      'more columns in its schema than follow',
      (bytes: Buffer) => {
        const root = bytes.indexOf(Buffer.from('schema\x15', 'latin1')) + 7;
        bytes[root] = 20; // its number of children, zigzag
      },
    ],
    ['no magic at its end', (bytes: Buffer) => bytes.write('PAR2', bytes.length - 4)],
  ])('with %s are refused', async (_, spoil) => {
    const bytes = readFileSync(join(golden, 'positions.parquet'));
    spoil(bytes);
    const path = join(folder, 'spoilt.parquet');
    writeFileSync(path, bytes);
    await expect(openParquetRows(path)).rejects.toMatchObject({ code: 'source-unreadable' });
  });
});

describe('a page', () => {
  const leaf = {
    element: { name: 'x', type: 'DOUBLE' as const },
    definitionMax: 0,
    listLevels: [],
  };
  const read = (count: number, rawBytes: number) => {
    const numbers = { num_values: count, encoding: 'PLAIN' };
    const header = { uncompressed_page_size: rawBytes, data_page_header: numbers };
    const page = { header: header as PageHeader, codec: 'UNCOMPRESSED' as const };
    return readDataPage(new Uint8Array(16), { ...page, leaf, dictionary: undefined });
  };

  it('that declares more than there is, or than a limit, is refused before it is read', () => {
    expect(read(2, 16).values).toEqual(new Float64Array(2));
    expect(() => read(3, 16)).toThrow();
    expect(() => read(2 ** 30, 16)).toThrow('a page of 1073741824 values');
    expect(() => read(-1, 16)).toThrow('a page of -1 values');
    expect(() => read(2, 2 ** 31)).toThrow('a page of 2147483648 bytes');
  });
});

describe('runs of levels', () => {
  const read = (bytes: number[], width: number, length: number) => [
    ...readRuns(Uint8Array.from(bytes), { width, out: new Uint32Array(length) }),
  ];

  it('are runs and bit-packed groups', () => {
    expect(read([10, 1], 1, 5)).toEqual([1, 1, 1, 1, 1]);
    // the numbers 0 to 7 in three bits, the example of the format's documentation
    expect(read([3, 0x88, 0xc6, 0xfa], 3, 8)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(read([3, 0x88, 0xc6, 0xfa, 4, 2], 3, 10)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 2, 2]);
    expect(read([6, 0x39, 0x30], 14, 3)).toEqual([12_345, 12_345, 12_345]);
    expect(read([8], 0, 4)).toEqual([0, 0, 0, 0]);
  });

  it.each([
    ['a run that is longer than its values', [0xfe, 0xff, 0xff, 0xff, 0x0f, 1]],
    ['a run that is cut', [10]],
    ['a length without end', [255, 255, 255, 255, 255, 255, 255]],
    ['too few runs', [4, 1]],
  ])('with %s are refused', (_, bytes) => {
    expect(() => read(bytes, 1, 5)).toThrow();
  });
});
