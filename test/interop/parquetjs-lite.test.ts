/** Files that parquetjs-lite 0.8.7 wrote, and its known defects: a test that fails tells of a fix. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { afterAll, describe, expect, it } from 'vitest';
import { listsSource } from '../../schemas/build-config.ts';
import { openListsSource } from '../../src/capture/lists.ts';
import { openParquetRows } from '../../src/formats/parquet-rows.ts';
import { allChunks } from '../contracts/source.ts';
import { realLists, records, samplesOf } from '../support/list-files.ts';

// it has no types
const parquet = createRequire(import.meta.url)('parquetjs-lite');
const folder = mkdtempSync(join(tmpdir(), 'logitcask-parquetjs-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'own.parquet');

async function write(fields: object, rows: readonly object[]): Promise<void> {
  const writer = await parquet.ParquetWriter.openFile(new parquet.ParquetSchema(fields), file);
  writer.setRowGroupSize(7);
  for (const row of rows) await writer.appendRow(row);
  await writer.close();
}

describe('flat files of parquetjs-lite', () => {
  it.each(['UNCOMPRESSED', 'GZIP', 'SNAPPY'])('import without loss, %s', async (compression) => {
    const rows = records.positions(samplesOf(await realLists(6, 60), 20));
    const field = (type: string, more = {}) => ({ type, compression, ...more });
    const fields = {
      sample: field('UTF8'),
      position: field('INT32'),
      token: field('INT64'),
      ids: field('INT32', { repeated: true }),
      logprobs: field('FLOAT', { repeated: true }),
      tail: field('DOUBLE', { optional: true }),
      mask: field('BOOLEAN'),
    };
    await write(
      fields,
      rows.map((row, i) => ({ ...row, mask: i % 3 > 0, tail: 2 ** -12 })),
    );
    const settings = { type: 'lists', lists: [file], vocabulary: 8192 };
    const source = await openListsSource(listsSource.parse(settings));
    const found = (await allChunks(source.chunks(0))).flatMap(({ sample, rows: lists }) => {
      if (lists.form !== 'lists') return [];
      const { offsets, ids, logprobs, tail } = lists;
      return [...sample.tokens].map((token, position) => {
        const own = [offsets[position], offsets[position + 1]] as const;
        return {
          sample: sample.meta.sample,
          position,
          token,
          ids: [...ids.subarray(...own)],
          logprobs: [...logprobs.subarray(...own)],
          mask: sample.mask[position],
          tail: tail?.[position],
        };
      });
    });
    expect(found).toEqual(
      rows.map((row, i) => ({
        ...row,
        mask: i % 3 > 0 && i % 20 < 19 ? 1 : 0,
        tail: 2 ** -12,
      })),
    );
  });
});

describe('known defects of parquetjs-lite 0.8.7', () => {
  const cell = async () => {
    const rows = await openParquetRows(file);
    try {
      for await (const { x } of rows.rows(['x'])) return x;
    } finally {
      await rows.close();
    }
  };

  it('a typed array as a list is written as its first value', async () => {
    await write({ x: { type: 'UINT_32', repeated: true } }, [{ x: Uint32Array.of(5, 6, 7) }]);
    expect(await cell()).toEqual(Float64Array.of(5));
    await write({ x: { type: 'UINT_32', repeated: true } }, [{ x: [5, 6, 7] }]);
    expect(await cell()).toEqual(Float64Array.of(5, 6, 7));
  });

  it('int64 beyond 2^53 is altered', async () => {
    await write({ x: { type: 'INT64' } }, [{ x: 2n ** 53n + 1n }]);
    const [{ x }] = await parquetReadObjects({ file: await asyncBufferFromFile(file) });
    expect(x).toBe(2n ** 53n);
  });

  it.each(['distillkit', 'axolotl', 'positions'])('it cannot read %s of pyarrow', async (name) => {
    const reading = async () => {
      const path = `test/golden/lists/${name}.parquet`;
      const reader = await parquet.ParquetReader.openFile(path);
      try {
        await reader.getCursor().next();
      } finally {
        await reader.close();
      }
    };
    // some of what it throws is no Error
    await expect(
      reading().then(
        () => 'read',
        () => 'failed',
      ),
    ).resolves.toBe('failed');
  });
});
