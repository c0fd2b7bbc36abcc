/**
 * One data page of a foreign Parquet file, decoded. Levels and dictionary indices are read here,
 * not by the library, whose reader follows a run of any length. Throws plain Errors: the caller
 * knows the file.
 */
import type { ColumnMetaData, SchemaElement } from 'hyparquet';
import type { parquetHeader } from 'hyparquet/src/column.js';
import { byteStreamSplit } from 'hyparquet/src/encoding.js';
import { readPlain } from 'hyparquet/src/plain.js';
import { compressors } from 'hyparquet-compressors';
import { fromFloat16 } from './float16.ts';
import { zstdDecompress } from './zstd.ts';

/** Most bytes of a page, before and after decompression. */
export const pageBytesMax = 64 * 1024 * 1024;
/** Most values of a page; text is counted by the objects that it becomes. */
export const pageValuesMax = 2 ** 24;
const pageTextsMax = 2 ** 20;

export type Values = Float64Array | readonly string[];

/** A column without its place: how deep its lists lie and what its values are. */
export interface Leaf {
  readonly element: SchemaElement;
  /** Definition level of a value that is there. */
  readonly definitionMax: number;
  /** Definition level from which the list of each depth has an entry. */
  readonly listLevels: readonly number[];
}

export interface Page {
  /** Entries: values, and places where there is none. */
  readonly count: number;
  /** Absent where all are 0. */
  readonly repetition?: Uint8Array;
  /** Absent where all are at their most. */
  readonly definition?: Uint8Array;
  readonly values: Values;
}

export type PageHeader = ReturnType<typeof parquetHeader>;
type Codec = ColumnMetaData['codec'];

/** A body decompressed into memory of its own: nothing is read from what lies beside it. */
function decompress(body: Uint8Array, codec: Codec, rawBytes: number): Uint8Array {
  if (!(rawBytes >= 0 && rawBytes <= pageBytesMax)) throw new Error(`a page of ${rawBytes} bytes`);
  if (rawBytes === 0) return new Uint8Array(0);
  const raw = codec === 'ZSTD' ? zstdDecompress(body, rawBytes) : unpack(body, codec, rawBytes);
  if (raw.length !== rawBytes) throw new Error(`${raw.length} bytes came out, not ${rawBytes}`);
  return new Uint8Array(raw);
}

function unpack(body: Uint8Array, codec: Codec, rawBytes: number): Uint8Array {
  if (codec === 'UNCOMPRESSED') return body;
  const unpacker = compressors[codec];
  if (unpacker === undefined) throw new Error(`the compression ${codec}`);
  return unpacker(body, rawBytes);
}

/** The values of a dictionary page. */
export function readDictionary(
  body: Uint8Array,
  { header, codec, leaf }: { header: PageHeader; codec: Codec; leaf: Leaf },
): Values {
  const raw = decompress(body, codec, header.uncompressed_page_size);
  const count = header.dictionary_page_header?.num_values ?? 0;
  return plainValues(raw, { at: 0, count, element: leaf.element });
}

export function readDataPage(
  body: Uint8Array,
  page: { header: PageHeader; codec: Codec; leaf: Leaf; dictionary: Values | undefined },
): Page {
  const { header, leaf } = page;
  const { data_page_header: v1, data_page_header_v2: v2 } = header;
  const count = (v1 ?? v2)?.num_values ?? -1;
  if (!(count >= 0 && count <= pageValuesMax)) throw new Error(`a page of ${count} values`);
  const { raw, at, repetition, definition } = v2
    ? openSecond(body, page, count)
    : openFirst(body, page, count);
  const present =
    definition === undefined
      ? count
      : definition.reduce((sum, level) => sum + (level === leaf.definitionMax ? 1 : 0), 0);
  const encoding = (v1 ?? v2)?.encoding;
  const values = valuesOf(raw, { at, count: present, encoding, ...page });
  if (values.length !== present) throw new Error(`${values.length} values, not ${present}`);
  return { count, repetition, definition, values };
}

interface Opened {
  readonly raw: Uint8Array;
  /** Where the values begin. */
  readonly at: number;
  readonly repetition?: Uint8Array;
  readonly definition?: Uint8Array;
}

type Opening = { readonly header: PageHeader; readonly codec: Codec; readonly leaf: Leaf };

/** Version 1: levels, each behind its length, are compressed with the values. */
function openFirst(body: Uint8Array, { header, codec, leaf }: Opening, count: number): Opened {
  const raw = decompress(body, codec, header.uncompressed_page_size);
  let at = 0;
  const take = (most: number) => {
    if (most === 0) return undefined;
    const length = new DataView(raw.buffer).getUint32(at, true);
    const levels = readRuns(raw.subarray(at + 4, at + 4 + length), {
      width: 32 - Math.clz32(most),
      out: new Uint8Array(count),
    });
    at += 4 + length;
    return levels;
  };
  const repetition = take(leaf.listLevels.length);
  const definition = take(leaf.definitionMax);
  return { raw, at, repetition, definition };
}

/** Version 2: levels come before the values, uncompressed. */
function openSecond(body: Uint8Array, { header, codec, leaf }: Opening, count: number): Opened {
  const {
    repetition_levels_byte_length: first = 0,
    definition_levels_byte_length: second = 0,
    is_compressed,
  } = header.data_page_header_v2 ?? {};
  if (!(first >= 0 && second >= 0 && first + second <= body.length)) {
    throw new Error(`levels of ${first} and ${second} bytes`);
  }
  const levels = (from: number, bytes: number, most: number) =>
    most === 0
      ? undefined
      : readRuns(body.subarray(from, from + bytes), {
          width: 32 - Math.clz32(most),
          out: new Uint8Array(count),
        });
  const packed = body.subarray(first + second);
  const rawBytes = header.uncompressed_page_size - first - second;
  return {
    raw: decompress(packed, is_compressed === false ? 'UNCOMPRESSED' : codec, rawBytes),
    at: 0,
    repetition: levels(0, first, leaf.listLevels.length),
    definition: levels(first, second, leaf.definitionMax),
  };
}

/** Runs and bit-packed groups of numbers; fills `out` or throws. */
export function readRuns<T extends Uint8Array | Uint32Array>(
  bytes: Uint8Array,
  { width, out }: { width: number; out: T },
): T {
  if (width > 24) throw new Error(`numbers of ${width} bits`);
  let at = 0;
  const next = () => {
    if (at >= bytes.length) throw new Error('runs are cut short');
    return bytes[at++];
  };
  for (let seen = 0; seen < out.length; ) {
    let header = 0;
    for (let scale = 1, byte = 128; byte >= 128; scale *= 128) {
      if (scale > 2 ** 35) throw new Error('a run without end');
      byte = next();
      header += (byte & 127) * scale;
    }
    const room = out.length - seen;
    if (header % 2 === 0) {
      const length = header / 2;
      if (length > room) throw new Error(`a run of ${length} for ${room} values`);
      let value = 0;
      for (let bit = 0; bit < width; bit += 8) value |= next() << bit;
      out.fill(value, seen, seen + length);
      seen += length;
      continue;
    }
    const end = seen + Math.min(room, ((header - 1) / 2) * 8);
    const last = at + ((header - 1) / 2) * width;
    for (let bits = 0, held = 0; seen < end; held -= width, bits >>>= width) {
      for (; held < width; held += 8) bits |= next() << held;
      out[seen++] = bits & (2 ** width - 1);
    }
    at = last;
  }
  return out;
}

function valuesOf(
  raw: Uint8Array,
  page: {
    at: number;
    count: number;
    encoding: string | undefined;
    leaf: Leaf;
    dictionary: Values | undefined;
  },
): Values {
  const { at, count, encoding, leaf, dictionary } = page;
  const { element } = leaf;
  if (encoding === 'PLAIN') return plainValues(raw, { at, count, element });
  if (encoding === 'PLAIN_DICTIONARY' || encoding === 'RLE_DICTIONARY') {
    if (count === 0) return new Float64Array(0);
    const out = new Uint32Array(count);
    return lookUp(readRuns(raw.subarray(at + 1), { width: raw[at], out }), dictionary ?? []);
  }
  if (encoding === 'RLE' && element.type === 'BOOLEAN') {
    const out = new Uint8Array(count);
    return Float64Array.from(readRuns(raw.subarray(at + 4), { width: 1, out }));
  }
  if (encoding === 'BYTE_STREAM_SPLIT' && element.type !== undefined) {
    const reader = { view: new DataView(raw.buffer), offset: at };
    return decoded(byteStreamSplit(reader, count, element.type, element.type_length), element);
  }
  throw new Error(`the encoding ${encoding}`);
}

function lookUp(indices: Uint32Array, dictionary: Values): Values {
  const outside = indices.findIndex((index) => index >= dictionary.length);
  if (outside >= 0)
    throw new Error(`${indices[outside]} of ${dictionary.length} dictionary values`);
  if (dictionary instanceof Float64Array) {
    return Float64Array.from(indices, (index) => dictionary[index]);
  }
  return Array.from(indices, (index) => dictionary[index]);
}

function plainValues(
  raw: Uint8Array,
  { at, count, element }: { at: number; count: number; element: SchemaElement },
): Values {
  const { type, type_length } = element;
  const isText = type === 'BYTE_ARRAY';
  if (!(count >= 0 && count <= (isText ? pageTextsMax : pageValuesMax)) || type === undefined) {
    throw new Error(`${count} values in a page`);
  }
  const reader = { view: new DataView(raw.buffer), offset: at };
  return decoded(readPlain(reader, type, count, type_length), element);
}

/** What integers without a meaning of their own may be called. */
const plainIntegers = [undefined, 'INT_8', 'INT_16', 'INT_32', 'INT_64'];
const unsigned = ['UINT_8', 'UINT_16', 'UINT_32', 'UINT_64'];

/** Numbers and flags as doubles, text as strings. */
function decoded(values: unknown, element: SchemaElement): Values {
  const { type, converted_type: converted, logical_type: logical } = element;
  if (type === 'BYTE_ARRAY') {
    return (values as Uint8Array[]).map((bytes) => Buffer.from(bytes).toString());
  }
  if (type === 'FIXED_LEN_BYTE_ARRAY' && logical?.type === 'FLOAT16') {
    const halves = (values as Uint8Array[]).map((bytes) => bytes[0] | (bytes[1] << 8));
    return Float64Array.from(fromFloat16(Uint16Array.from(halves)));
  }
  if (type === 'FLOAT' || type === 'DOUBLE' || type === 'BOOLEAN') {
    return Float64Array.from(values as number[]);
  }
  const isUnsigned =
    unsigned.includes(converted ?? '') || (logical?.type === 'INTEGER' && !logical.isSigned);
  if (isUnsigned || plainIntegers.includes(converted)) {
    if (type === 'INT32') return wide(values as Int32Array, isUnsigned);
    if (type === 'INT64') return wider(values as BigInt64Array, isUnsigned);
  }
  throw new Error(`values of type ${converted ?? logical?.type ?? type}`);
}

function wide(values: Int32Array, isUnsigned: boolean): Float64Array {
  return isUnsigned ? Float64Array.from(values, (v) => v >>> 0) : Float64Array.from(values);
}

/** 64-bit integers, exact below 2^53. */
function wider(values: BigInt64Array, isUnsigned: boolean): Float64Array {
  const { buffer, byteOffset = 0, length } = values;
  const out = new Float64Array(length);
  if (length === 0) return out; // the library gives an empty list
  const halves = new Int32Array(buffer, byteOffset, 2 * length);
  for (let i = 0; i < length; i++) {
    const high = halves[2 * i + 1];
    out[i] = (isUnsigned ? high >>> 0 : high) * 2 ** 32 + (halves[2 * i] >>> 0);
  }
  return out;
}
