import { tableFromIPC } from 'apache-arrow';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  arrowFileWriter,
  type Columns,
  type ColumnTypes,
  decodeStream,
  encodeStream,
} from '../../src/formats/arrow.ts';
import { batchPositions } from '../../src/formats/arrow-positions.ts';
import { batchOf, columnOf, columnTypes, plain, visionTypes } from '../support/columns.ts';

const plainBatch = (columns: Columns) =>
  Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, plain(column)]));

/** Any columns beside those of a vision shard, and batches of them, empty ones too. */
const tables = fc.array(columnTypes, { maxLength: 3 }).chain((more) => {
  const extra = Object.fromEntries(more.map((type, i) => [`extra${i}`, type]));
  const types: ColumnTypes = { ...visionTypes, ...extra };
  return fc.record({
    types: fc.constant(types),
    batches: fc.array(batchOf(types), { minLength: 1, maxLength: 3 }),
  });
});

const coded = (code: string) => expect.objectContaining({ code });

describe('an Arrow stream', () => {
  it('gives back types, metadata and every byte of any columns, also without rows', () => {
    fc.assert(
      fc.property(tables, fc.dictionary(fc.string(), fc.string()), (table, metadata) => {
        const { types, batches } = table;
        const bytes = encodeStream(types, batches, metadata);
        const decoded = decodeStream(bytes);
        expect(decoded.types).toEqual(types);
        expect({ ...decoded.metadata }).toEqual({ ...metadata });
        expect(decoded.batches.map(plainBatch)).toEqual(batches.map(plainBatch));
      }),
      { numRuns: 200 },
    );
  });

  it('is read alike from unaligned memory', () => {
    const column = columnOf({ type: 'uint64' }, [1n, 2n ** 63n]);
    const bytes = encodeStream({ a: { type: 'uint64' } }, [{ a: column }], {});
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    const [batch] = decodeStream(shifted.subarray(3)).batches;
    expect(plain(batch.a)).toEqual(plain(column));
  });

  it('holds values that apache-arrow itself reads', () => {
    const types: ColumnTypes = {
      tokens: { type: 'list', item: { type: 'int32' } },
      half: { type: 'float16' },
      meta: { type: 'utf8' },
      big: { type: 'uint64' },
    };
    const batch = {
      tokens: columnOf(types.tokens, [[1, -2], [], [3]]),
      half: columnOf(types.half, [0xc000, 0x3c00, 0x0001]),
      meta: columnOf(types.meta, [[...Buffer.from('é')], [], [...Buffer.from('{}')]]),
      big: columnOf(types.big, [0n, 2n ** 64n - 1n, 5n]),
    };
    const table = tableFromIPC(encodeStream(types, [batch], { a: 'b' }));
    const rows = table.toArray().map((row) => row.toJSON());
    expect(rows.map(({ tokens }) => [...tokens])).toEqual([[1, -2], [], [3]]);
    expect(rows.map(({ half }) => half)).toEqual([-2, 1, 2 ** -24]);
    expect(rows.map(({ meta }) => meta)).toEqual(['é', '', '{}']);
    expect(rows.map(({ big }) => big)).toEqual([0n, 2n ** 64n - 1n, 5n]);
    expect(table.schema.metadata.get('a')).toBe('b');
    expect(table.schema.fields.some(({ nullable }) => nullable)).toBe(false);
  });

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['text', Buffer.from('not an arrow stream, but long enough to be one')],
    ['zeros', Buffer.alloc(64)],
  ])('is refused where it is %s', (_, bytes) => {
    expect(() => decodeStream(bytes)).toThrowError(coded('reply-invalid'));
  });

  it('is refused where a buffer is cut', () => {
    const column = columnOf({ type: 'uint32' }, new Array(100).fill(7));
    const bytes = encodeStream({ a: { type: 'uint32' } }, [{ a: column }], {});
    expect(() => decodeStream(bytes.subarray(0, bytes.length - 200))).toThrowError(
      coded('reply-invalid'),
    );
  });
});

/** Writes a file as the shard writer does. */
function fileOf(types: ColumnTypes, batches: readonly Columns[]) {
  const writer = arrowFileWriter(types, { 'logitcask.role': 'shard' });
  const chunks = [...writer.start()];
  const messages = batches.map((columns) => {
    const { offset, metadataBytes, chunks: own } = writer.batch(columns);
    chunks.push(...own);
    return { offset, metadataBytes };
  });
  chunks.push(...writer.finish());
  return { bytes: Buffer.concat(chunks), messages };
}

describe('an Arrow file, written batch by batch', () => {
  it('is whole, and each buffer lies where its batch says', () => {
    fc.assert(
      fc.property(tables, ({ types, batches }) => {
        const { bytes, messages } = fileOf(types, batches);
        const decoded = decodeStream(bytes);
        expect(decoded.types).toEqual(types);
        expect(decoded.batches.map(plainBatch)).toEqual(batches.map(plainBatch));
        expect(bytes.toString('latin1', 0, 6)).toBe('ARROW1');
        expect(bytes.toString('latin1', bytes.length - 6)).toBe('ARROW1');
        messages.forEach(({ offset, metadataBytes }, i) => {
          const head = bytes.subarray(offset, offset + metadataBytes);
          const { rows, columns } = batchPositions(head, offset, types);
          for (const [name, { rows: length, buffers }] of Object.entries(batches[i])) {
            expect([rows, columns[name].length]).toEqual([length, buffers.length]);
            columns[name].forEach(({ offset: at, bytes: size }, buffer) => {
              const own = bytes.subarray(at, at + size);
              const { length: exact } = buffers[buffer];
              expect([...own.subarray(0, exact)]).toEqual([...buffers[buffer]]);
              expect(size - exact).toBeLessThan(8); // padding
              expect(own.subarray(exact).every((byte) => byte === 0)).toBe(true);
            });
          }
        });
      }),
      { numRuns: 200 },
    );
  });

  it('gives the same bytes each time', () => {
    const types: ColumnTypes = { a: { type: 'list', item: { type: 'uint8' } } };
    const batch = { a: columnOf(types.a, [[1, 2], [3]]) };
    expect(fileOf(types, [batch, batch]).bytes.equals(fileOf(types, [batch, batch]).bytes)).toBe(
      true,
    );
  });

  it('refuses metadata that is damaged or of other columns, whatever is flipped', () => {
    const types: ColumnTypes = {
      a: { type: 'list', item: { type: 'uint32' } },
      b: { type: 'utf8' },
    };
    const batch = { a: columnOf(types.a, [[1, 2], [3]]), b: columnOf(types.b, [[65], [66]]) };
    const { bytes, messages } = fileOf(types, [batch]);
    const [{ offset, metadataBytes }] = messages;
    const head = Buffer.from(bytes.subarray(offset, offset + metadataBytes));
    expect(() => batchPositions(head, offset, { a: types.a })).toThrowError(coded('index-damaged'));
    for (let bit = 0; bit < head.length * 8; bit++) {
      head[bit >> 3] ^= 1 << (bit & 7);
      try {
        batchPositions(head, offset, types);
      } catch (error) {
        expect(error).toMatchObject({ code: 'index-damaged' });
      }
      head[bit >> 3] ^= 1 << (bit & 7);
    }
    for (let length = 0; length < head.length; length++) {
      const cut = () => batchPositions(head.subarray(0, length), offset, types);
      try {
        cut();
      } catch (error) {
        expect(error).toMatchObject({ code: 'index-damaged' });
      }
    }
  });
});
