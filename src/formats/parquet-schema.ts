/** Our column types in Parquet: flat columns, lists, lists of structs; nothing optional. */
import type { Encoding, SchemaElement } from 'hyparquet';
import { LogitcaskError } from '../errors.ts';
import type { ColumnTypes } from './arrow.ts';
import { bufferCount, type ColumnType } from './layout.ts';

/** The values of one column. */
export interface Leaf {
  readonly name: string;
  readonly path: readonly string[];
  readonly listed: boolean;
  /** Number among the buffers of its column of the first that holds its values. */
  readonly buffer: number;
  /** Of an item of a list, otherwise of the column. */
  readonly type: ColumnType;
  readonly element: SchemaElement;
  readonly encoding: Encoding;
  /** Bytes of a value in Parquet; undefined for bits and for values with a length each. */
  readonly width: number | undefined;
}

type Physical = Omit<SchemaElement, 'name' | 'repetition_type'>;

/**
 * Unsigned types by `converted_type`: with an INTEGER logical type the writer's files are not read.
 */
const physical: Readonly<Record<string, Physical>> = {
  int32: { type: 'INT32' },
  uint8: { type: 'INT32', converted_type: 'UINT_8' },
  uint16: { type: 'INT32', converted_type: 'UINT_16' },
  uint32: { type: 'INT32', converted_type: 'UINT_32' },
  uint64: { type: 'INT64', converted_type: 'UINT_64' },
  float16: { type: 'FIXED_LEN_BYTE_ARRAY', type_length: 2, logical_type: { type: 'FLOAT16' } },
  float32: { type: 'FLOAT' },
  bool: { type: 'BOOLEAN' },
  utf8: { type: 'BYTE_ARRAY', converted_type: 'UTF8' },
  binary: { type: 'BYTE_ARRAY' },
};

const widths: Readonly<Record<string, number>> = { INT32: 4, INT64: 8, FLOAT: 4 };

function leavesAt(name: string, column: ColumnType): Leaf[] {
  if (column.type !== 'list') return [leafOf(column, { name, path: [name], buffer: 0 })];
  const path = [name, 'list', 'element'];
  const { item } = column;
  if (item.type !== 'struct') return [leafOf(item, { name, path, buffer: 1 })];
  let buffer = 1;
  return Object.entries(item.members).map(([member, type]) => {
    const leaf = leafOf(type, { name, path: [...path, member], buffer });
    buffer += bufferCount(type);
    return leaf;
  });
}

function leafOf(
  type: ColumnType,
  { name, path, buffer }: Pick<Leaf, 'name' | 'path' | 'buffer'>,
): Leaf {
  const found =
    type.type === 'fixed_binary'
      ? { type: 'FIXED_LEN_BYTE_ARRAY' as const, type_length: type.size }
      : physical[type.type];
  if (found === undefined) {
    const message = `parquet: column ${name} of type ${type.type} has no form here; use arrow`;
    throw new LogitcaskError('manifest-unsupported', message, { got: type });
  }
  const width = found.type_length ?? widths[found.type as string];
  const element: SchemaElement = {
    ...found,
    name: path[path.length - 1],
    repetition_type: 'REQUIRED',
  };
  // DuckDB 1.5 reads BYTE_STREAM_SPLIT of floats only; of integers, too, it would save up to 14 %
  const encoding = type.type === 'float32' ? 'BYTE_STREAM_SPLIT' : 'PLAIN';
  return { name, path, listed: path.length > 1, buffer, type, element, encoding, width };
}

export function leavesOf(types: ColumnTypes): Leaf[] {
  return Object.entries(types).flatMap(([name, type]) => leavesAt(name, type));
}

export function schemaOf(leaves: readonly Leaf[]): SchemaElement[] {
  const names = [...new Set(leaves.map(({ name }) => name))];
  const columns = names.flatMap((name): SchemaElement[] => {
    const own = leaves.filter((leaf) => leaf.name === name);
    const elements = own.map(({ element }) => element);
    const [{ listed, path }] = own;
    if (!listed) return elements;
    const members = { repetition_type: 'REQUIRED', num_children: own.length } as const;
    return [
      { name, repetition_type: 'REQUIRED', num_children: 1, converted_type: 'LIST' },
      { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
      ...(path.length > 3 ? [{ name: path[2], ...members }] : []),
      ...elements,
    ];
  });
  return [{ name: 'schema', num_children: names.length }, ...columns];
}
