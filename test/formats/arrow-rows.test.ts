import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { LogitcaskError } from '../../src/errors.ts';
import { arrowFileWriter, type ColumnTypes, encodeStream } from '../../src/formats/arrow.ts';
import { openArrowRows } from '../../src/formats/arrow-rows.ts';
import type { RowCell } from '../../src/formats/rows-file.ts';
import { columnOf } from '../support/columns.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-arrow-rows-'));
afterAll(() => rmSync(folder, { recursive: true }));

const types: ColumnTypes = {
  tokens: { type: 'list', item: { type: 'int32' } },
  lists: { type: 'list', item: { type: 'list', item: { type: 'float32' } } },
  halves: { type: 'list', item: { type: 'float16' } },
  messages: {
    type: 'list',
    item: { type: 'struct', members: { role: { type: 'utf8' }, weight: { type: 'uint64' } } },
  },
  text: { type: 'utf8' },
};
const batch = {
  tokens: columnOf(types.tokens, [[1, 2], [], [3]]),
  lists: columnOf(types.lists, [[[0.5], [0.25, 0.125]], [], [[]]]),
  halves: columnOf(types.halves, [[0x3c00], [], []]),
  messages: columnOf(types.messages, [[[[...Buffer.from('user')], 7n]], [], []]),
  text: columnOf(types.text, [[97], [98], [99]]),
};
const stream = encodeStream(types, [batch, batch], {});
const names = ['tokens', 'lists', 'halves', 'messages.role', 'messages.weight', 'text'];

async function allRows(bytes: Uint8Array, columns: readonly string[] = names) {
  const path = join(folder, 'rows.arrow');
  writeFileSync(path, bytes);
  const file = await openArrowRows(path);
  const rows: Readonly<Record<string, RowCell>>[] = [];
  try {
    for await (const row of file.rows(columns)) rows.push(row);
  } finally {
    await file.close();
  }
  return { rows, columns: file.columns };
}

const first = {
  tokens: Float64Array.of(1, 2),
  lists: { values: Float64Array.of(0.5, 0.25, 0.125), offsets: Uint32Array.of(0, 1, 3) },
  halves: Float64Array.of(1),
  'messages.role': ['user'],
  'messages.weight': Float64Array.of(7),
  text: 'a',
};

describe('rows of Arrow', () => {
  it('come from streams, batch after batch, with parts of structs as columns', async () => {
    const { rows, columns } = await allRows(stream);
    expect(columns).toEqual([...names.slice(0, 3), 'messages', ...names.slice(3)]);
    expect(rows).toHaveLength(6);
    expect(rows[0]).toEqual(first);
    expect(rows[3]).toEqual(first);
    expect(rows[2].lists).toEqual({ values: new Float64Array(0), offsets: Uint32Array.of(0, 0) });
  });

  it('come from files that hold a stream, and others are refused with what to do', async () => {
    const writer = arrowFileWriter(types, {});
    const parts = [...writer.start(), ...writer.batch(batch).chunks, ...writer.finish()];
    await expect(allRows(Buffer.concat(parts))).rejects.toThrow('give it as a stream');
    const { rows } = await allRows(Buffer.concat([Buffer.from('ARROW1\0\0'), stream]));
    expect(rows).toHaveLength(6);
    expect(rows[0]).toEqual(first);
  });

  it('damaged anywhere or cut short, are refused or read, and nothing else happens', async () => {
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.nat(stream.length - 1),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        async (at, flip, cut) => {
          const bytes = Buffer.from(stream);
          bytes[at] ^= flip;
          try {
            await allRows(cut ? bytes.subarray(0, at) : bytes);
          } catch (error) {
            expect(error).toBeInstanceOf(LogitcaskError);
            expect(error).toMatchObject({ code: 'source-unreadable' });
            refused++;
          }
        },
      ),
      { numRuns: 250 },
    );
    expect(refused).toBeGreaterThan(60);
  });

  it.each([
    ['a list of metadata without end in the schema', 40, 1],
    [
      'a first offset below 0',
      stream.lastIndexOf(Buffer.from(Int32Array.of(0, 2, 2, 3).buffer)) + 3,
      128,
    ],
  ])('with %s, are refused or read at once', async (_, at, flip) => {
    const bytes = Buffer.from(stream);
    bytes[at] ^= flip;
    const started = performance.now();
    await allRows(bytes).catch((error) =>
      expect(error).toMatchObject({ code: 'source-unreadable' }),
    );
    expect(performance.now() - started).toBeLessThan(10_000); // was minutes, and gigabytes
  });

  it('cut short behind a batch, are refused: the end marker is missing', async () => {
    await expect(allRows(stream.subarray(0, -8))).rejects.toMatchObject({
      code: 'source-unreadable',
    });
  });
});
