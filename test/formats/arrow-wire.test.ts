import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Columns,
  type ColumnTypes,
  decodeStream,
  encodeStream,
} from '../../src/formats/arrow.ts';
import { readStream } from '../../src/formats/arrow-read.ts';
import { batchPieces, schemaTemplate, streamEnd } from '../../src/formats/arrow-wire.ts';
import type { ColumnType } from '../../src/formats/layout.ts';
import { columnOf, columnTypes, plain, rowOf, visionTypes } from '../support/columns.ts';

/** Columns of several types, all with the same number of rows; a batch or two of them. */
const tables = fc
  .tuple(
    fc.array(columnTypes, { minLength: 1, maxLength: 5 }),
    fc.nat(9),
    fc.integer({ min: 1, max: 2 }),
  )
  .chain(([types, rows, batches]) => {
    const column = (type: ColumnType) =>
      fc.array(rowOf(type), { minLength: rows, maxLength: rows }).map((v) => columnOf(type, v));
    const batch = fc.tuple(...types.map(column)).map((all) => named(all) as Columns);
    return fc.record({
      types: fc.constant(named(types) as ColumnTypes),
      batches: fc.array(batch, { minLength: batches, maxLength: batches }),
    });
  });

function named(values: readonly unknown[]) {
  return Object.fromEntries(values.map((value, i) => [`c${i}`, value]));
}

/** Every buffer in two pieces where it can be cut. */
function piecesOf(columns: Columns) {
  return Object.fromEntries(
    Object.entries(columns).map(([name, { buffers }]) => {
      const cut = (buffer: Uint8Array) => {
        const half = (buffer.length >> 4) << 3;
        return half === 0 ? [buffer] : [buffer.subarray(0, half), buffer.subarray(half)];
      };
      const isOffsets = (i: number) => i < buffers.length - 1; // taken whole
      return [name, { buffers: buffers.map((b, i) => (isOffsets(i) ? [b] : cut(b))) }];
    }),
  );
}

function write(types: ColumnTypes, batches: readonly Columns[]): Buffer {
  const head = schemaTemplate(types, { fixed: 'yes' }, [])([]);
  const bodies = batches.flatMap((columns) =>
    batchPieces(types, piecesOf(columns), { rows: Object.values(columns)[0].rows }),
  );
  return Buffer.concat([head, ...bodies, streamEnd]);
}

const seen = ({ types, batches }: ReturnType<typeof decodeStream>) => ({
  types,
  batches: batches.map((columns) =>
    Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, plain(column)])),
  ),
});

describe('streams for sending', () => {
  it('say the same as those of the library, to it and to our own reader', () => {
    fc.assert(
      fc.property(tables, ({ types, batches }) => {
        const expected = seen(decodeStream(encodeStream(types, batches, {})));
        const own = write(types, batches);
        expect(seen(decodeStream(own))).toEqual(expected);
        expect(seen(readStream(own))).toEqual(expected);
        expect(seen(readStream(encodeStream(types, batches, {})))).toEqual(expected);
      }),
      { numRuns: 150 },
    );
  });

  it('hold every type of the format', () => {
    const columns = Object.fromEntries(
      Object.entries(visionTypes).map(([name, type]) => {
        const values = fc.sample(rowOf(type), { numRuns: 5, seed: 1 });
        return [name, columnOf(type, values)];
      }),
    );
    const expected = seen(decodeStream(encodeStream(visionTypes, [columns], {})));
    expect(seen(readStream(write(visionTypes, [columns])))).toEqual(expected);
  });

  it('carry metadata that changes from stream to stream, of up to 20 characters', () => {
    const types = { c: { type: 'int32' } } as const;
    const columns = { c: columnOf(types.c, [1]) };
    const template = schemaTemplate(types, { fixed: 'yes' }, ['step', 'rows']);
    const body = [...batchPieces(types, piecesOf(columns), { rows: 1 }), streamEnd];
    for (const step of ['', '0', '9007199254740991', '1.23456789e-7']) {
      const bytes = Buffer.concat([template([step, '12345678901234567890']), ...body]);
      const metadata = { fixed: 'yes', step, rows: '12345678901234567890' };
      expect(decodeStream(bytes).metadata).toEqual(metadata);
      expect(readStream(bytes).metadata).toEqual(metadata);
    }
  });

  it('state lengths beyond 32 bits', () => {
    const rows = 2 ** 33 + 5;
    const types = { c: { type: 'struct', members: {} } } as const;
    const [message] = batchPieces(types, { c: { buffers: [] } }, { rows });
    const head = schemaTemplate(types, {}, [])([]);
    const { batches } = readStream(Buffer.concat([head, message, streamEnd]));
    expect(batches[0].c.rows).toBe(rows);
  });
});
