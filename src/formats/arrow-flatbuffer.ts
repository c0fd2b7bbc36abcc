/**
 * FlatBuffers of Arrow's messages, walked with every bound checked: the library believes any length
 * and count, and one flipped bit fills the memory. All that is wrong throws a RangeError.
 */

/** Where each field of a table lies; undefined where one has its default. */
export type Table = (field: number) => number | undefined;

export function readTable(view: DataView, at: number | undefined): Table {
  if (at === undefined) throw new RangeError('a table is missing');
  const start = at + view.getUint32(at, true);
  const fields = start - view.getInt32(start, true);
  const end = view.getUint16(fields, true);
  return (field) => {
    const slot = 4 + 2 * field;
    const relative = slot < end ? view.getUint16(fields + slot, true) : 0;
    return relative === 0 ? undefined : start + relative;
  };
}

/** Where the items of a vector lie; none where the field is absent. */
export function readVector(view: DataView, at: number | undefined, itemBytes: number): number[] {
  if (at === undefined) return [];
  const vector = at + view.getUint32(at, true);
  const count = view.getUint32(vector, true);
  const first = vector + 4;
  if (first + count * itemBytes > view.byteLength) throw new RangeError(`${count} items`);
  return Array.from({ length: count }, (_, i) => first + i * itemBytes);
}

export function readText(view: DataView, at: number | undefined): string {
  if (at === undefined) return '';
  const text = at + view.getUint32(at, true);
  const length = view.getUint32(text, true);
  if (text + 4 + length > view.byteLength) throw new RangeError(`a text of ${length} bytes`);
  return Buffer.from(view.buffer, view.byteOffset + text + 4, length).toString();
}

/** A length or offset of 64 bits. */
export function readLong(view: DataView, at: number): number {
  const value = Number(view.getBigInt64(at, true));
  if (value >= 0 && value <= Number.MAX_SAFE_INTEGER) return value;
  throw new RangeError(`a length or offset of ${value}`);
}
