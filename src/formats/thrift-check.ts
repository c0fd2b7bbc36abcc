/**
 * Proves that bytes are one Thrift struct (compact protocol) before a library reads it: numbers of
 * at most 10 bytes, lengths and lists within the bytes, bounded depth. A run of continuation bits
 * would otherwise keep a reader of big integers busy for hours.
 */

const depthMax = 16;
const types = { true: 1, false: 2, byte: 3, double: 7, binary: 8, list: 9, struct: 12 } as const;

/** Offset behind the struct that begins at 0. Throws a plain Error. */
export function checkThrift(bytes: Uint8Array): number {
  return skipStruct(bytes, 0, 0);
}

function skipStruct(bytes: Uint8Array, start: number, depth: number): number {
  if (depth > depthMax) throw new Error('Thrift structs lie too deep');
  let at = start;
  for (;;) {
    const head = byteAt(bytes, at++);
    const type = head & 15;
    if (type === 0) return at;
    if (head >> 4 === 0) at = readVarint(bytes, at).end; // the field's number
    at = skipValue(bytes, at, { type, depth });
  }
}

function skipValue(
  bytes: Uint8Array,
  at: number,
  { type, depth }: { type: number; depth: number },
): number {
  switch (type) {
    case types.true:
    case types.false:
      return at;
    case types.byte:
      return at + 1;
    case 4:
    case 5:
    case 6:
      return readVarint(bytes, at).end;
    case types.double:
      return at + 8;
    case types.binary: {
      const { value, end } = readVarint(bytes, at);
      if (end + value > bytes.length) throw new Error(`Thrift text of ${value} bytes`);
      return end + value;
    }
    case types.list:
      return skipList(bytes, at, depth);
    case types.struct:
      return skipStruct(bytes, at, depth + 1);
    default:
      throw new Error(`Thrift type ${type}`);
  }
}

function skipList(bytes: Uint8Array, start: number, depth: number): number {
  const head = byteAt(bytes, start);
  const long = head >> 4 === 15;
  const { value, end } = long ? readVarint(bytes, start + 1) : { value: head >> 4, end: start + 1 };
  const type = head & 15;
  // every item takes a byte at least
  if (value > bytes.length - end) throw new Error(`a Thrift list of ${value}`);
  const isFlag = type === types.true || type === types.false;
  let at = end;
  for (let i = 0; i < value; i++) {
    at = isFlag ? at + 1 : skipValue(bytes, at, { type, depth: depth + 1 });
  }
  return at;
}

/** A number of at most 64 bits; its value is exact below 2^53. */
function readVarint(bytes: Uint8Array, start: number): { value: number; end: number } {
  let value = 0;
  for (let i = 0; i < 10; i++) {
    const byte = byteAt(bytes, start + i);
    value += (byte & 127) * 2 ** (7 * i);
    if (byte < 128) return { value, end: start + i + 1 };
  }
  throw new Error('a Thrift number of more than 10 bytes');
}

function byteAt(bytes: Uint8Array, at: number): number {
  if (at < bytes.length) return bytes[at];
  throw new Error('Thrift is cut short');
}
