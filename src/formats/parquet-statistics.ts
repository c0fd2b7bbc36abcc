/** Least and greatest values of a column chunk, so that SQL engines can skip row groups. */
import type { Statistics } from 'hyparquet';
import type { Column } from './layout.ts';
import type { Leaf } from './parquet-schema.ts';

const arrays = {
  int32: Int32Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  float32: Float32Array,
} as const;

/** Bounds of integers, floats and fixed bytes; of other types only the number of empty lists. */
export function statisticsOf(leaf: Leaf, column: Column, empty: number): Statistics {
  const bytes = column.buffers[leaf.buffer];
  const bounds =
    leaf.type.type === 'fixed_binary'
      ? byteBounds(bytes, leaf.type.size)
      : leaf.type.type in arrays
        ? numberBounds(bytes, arrays[leaf.type.type as keyof typeof arrays])
        : {};
  return { ...bounds, null_count: BigInt(empty) };
}

function numberBounds(bytes: Uint8Array, array: (typeof arrays)[keyof typeof arrays]): Statistics {
  const size = array.BYTES_PER_ELEMENT;
  const aligned = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes);
  const { buffer, byteOffset, byteLength } = aligned as Uint8Array<ArrayBuffer>;
  const values = new array(buffer, byteOffset, byteLength / size);
  let [min, max] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value < min) min = value;
    if (value > max) max = value;
  }
  if (min > max) return {}; // nothing, or NaN only
  // the format's rule for zeros of either sign
  return { min_value: min === 0 ? -0 : min, max_value: max === 0 ? 0 : max };
}

function byteBounds(bytes: Uint8Array, size: number): Statistics {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (all.length === 0) return {};
  let [min, max] = [all.subarray(0, size), all.subarray(0, size)];
  for (let at = size; at < all.length; at += size) {
    const value = all.subarray(at, at + size);
    if (value.compare(min) < 0) min = value;
    if (value.compare(max) > 0) max = value;
  }
  return { min_value: min, max_value: max };
}
