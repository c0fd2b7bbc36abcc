/** Random column types and values, and a plain recursive reading of columns to hold ours against. */
import fc from 'fast-check';
import { bytesOf, type Column, type ColumnType, packBits } from '../../src/formats/layout.ts';

const numbers = {
  int32: { array: Int32Array, value: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }) },
  uint8: { array: Uint8Array, value: fc.nat(255) },
  uint16: { array: Uint16Array, value: fc.nat(65_535) },
  uint32: { array: Uint32Array, value: fc.nat(2 ** 32 - 1) },
  float16: { array: Uint16Array, value: fc.nat(0x7bff) },
  float32: { array: Float32Array, value: fc.float({ noNaN: true }) },
} as const;

type NumberType = keyof typeof numbers;

export const columnTypes: fc.Arbitrary<ColumnType> = fc.letrec<{ type: ColumnType }>((tie) => ({
  type: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    fc.constantFrom(...Object.keys(numbers), 'uint64', 'bool', 'utf8', 'binary').map((type) => {
      return { type } as ColumnType;
    }),
    fc.integer({ min: 1, max: 17 }).map((size) => ({ type: 'fixed_binary' as const, size })),
    tie('type').map((item) => ({ type: 'list' as const, item })),
    fc.tuple(fc.integer({ min: 1, max: 4 }), tie('type')).map(([size, item]) => {
      return { type: 'fixed_list' as const, size, item };
    }),
    fc.array(tie('type'), { minLength: 1, maxLength: 3 }).map((all) => ({
      type: 'struct' as const,
      members: Object.fromEntries(all.map((member, i) => [`m${i}`, member])),
    })),
  ),
})).type;

/** A value of one row; bytes as arrays of numbers. */
export function rowOf(type: ColumnType): fc.Arbitrary<unknown> {
  switch (type.type) {
    case 'bool':
      return fc.boolean();
    case 'uint64':
      return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    case 'utf8':
      return fc.string({ unit: 'grapheme', maxLength: 6 }).map((text) => [...Buffer.from(text)]);
    case 'binary':
      return fc.array(fc.nat(255), { maxLength: 6 });
    case 'fixed_binary':
      return fc.array(fc.nat(255), { minLength: type.size, maxLength: type.size });
    case 'list':
      return fc.array(rowOf(type.item), { maxLength: 4 });
    case 'fixed_list':
      return fc.array(rowOf(type.item), { minLength: type.size, maxLength: type.size });
    case 'struct':
      return fc.tuple(...Object.values(type.members).map(rowOf));
    default:
      return numbers[type.type].value;
  }
}

/** Buffers of rows, written straight from the meaning of the type. */
export function columnOf(type: ColumnType, values: readonly unknown[]): Column {
  return { rows: values.length, buffers: buffersOf(type, values) };
}

function buffersOf(type: ColumnType, values: readonly unknown[]): Uint8Array[] {
  const lists = values as unknown[][];
  const offsets = () => {
    const ends = new Int32Array(values.length + 1);
    lists.forEach((items, i) => {
      ends[i + 1] = ends[i] + items.length;
    });
    return bytesOf(ends);
  };
  switch (type.type) {
    case 'bool':
      return [packBits(Uint8Array.from(values, Number))];
    case 'uint64':
      return [bytesOf(BigUint64Array.from(values as bigint[]))];
    case 'utf8':
    case 'binary':
      return [offsets(), Uint8Array.from(lists.flat() as number[])];
    case 'fixed_binary':
      return [Uint8Array.from(lists.flat() as number[])];
    case 'list':
      return [offsets(), ...buffersOf(type.item, lists.flat())];
    case 'fixed_list':
      return buffersOf(type.item, lists.flat());
    case 'struct':
      return Object.values(type.members).flatMap((member, i) =>
        buffersOf(
          member,
          lists.map((row) => row[i]),
        ),
      );
    default:
      return [bytesOf(numbers[type.type as NumberType].array.from(values as number[]))];
  }
}

/** Bytes of each buffer; two columns are equal where these are. */
export function plain({ rows, buffers }: Column): { rows: number; buffers: number[][] } {
  return { rows, buffers: buffers.map((buffer) => Array.from(buffer)) };
}

/** A type with the values of some rows. */
export const typedRows = columnTypes.chain((type) =>
  fc.record({ type: fc.constant(type), values: fc.array(rowOf(type), { maxLength: 20 }) }),
);

/** The columns of a vision shard, the richest ones of the format. */
export const visionTypes: Readonly<Record<string, ColumnType>> = {
  sample_id: { type: 'fixed_binary', size: 16 },
  input_ref: { type: 'utf8' },
  hard_label: { type: 'list', item: { type: 'int32' } },
  mask: { type: 'list', item: { type: 'bool' } },
  augmentation: {
    type: 'list',
    item: { type: 'struct', members: { seed: { type: 'uint64' }, params: { type: 'utf8' } } },
  },
  geometry: {
    type: 'list',
    item: { type: 'fixed_list', size: 4, item: { type: 'float32' } },
  },
  meta: { type: 'utf8' },
  teacher_frame: { type: 'binary' },
  teacher_label_logprob: { type: 'list', item: { type: 'float16' } },
};

/** Rows of several columns of one batch. */
export function batchOf(types: Readonly<Record<string, ColumnType>>, rowsMax = 8) {
  return fc
    .integer({ min: 0, max: rowsMax })
    .chain((rows) =>
      fc.record(
        Object.fromEntries(
          Object.entries(types).map(([name, type]) => [
            name,
            fc
              .array(rowOf(type), { minLength: rows, maxLength: rows })
              .map((values) => columnOf(type, values)),
          ]),
        ),
      ),
    );
}
