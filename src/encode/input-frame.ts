/**
 * What the positions of a vision sample are (labels, boxes, seeds, parameters), as one compressed
 * frame of byte planes (docs/format.md): side by side they would take more than the targets.
 */
import { crc32 } from 'node:zlib';
import type { InputField } from '../../schemas/manifest.ts';
import { fixedWidth } from '../formats/layout.ts';
import { zstdCompress, zstdDecompress } from '../formats/zstd.ts';
import { damaged } from './frame.ts';

const headerBytes = 20;
const magic = 0x4e49434c; // LCIN

/** Bytes of a field at one position. */
export function fieldBytes({ type, items }: InputField): number {
  return (fixedWidth({ type }) as number) * items;
}

/** `values` are little-endian, n · items of each field, in the order of the fields. */
export function encodeInputs(
  fields: readonly InputField[],
  values: readonly Uint8Array[],
  n: number,
): Uint8Array {
  const raw = new Uint8Array(n * fields.reduce((sum, field) => sum + fieldBytes(field), 0));
  let to = 0;
  fields.forEach((field, i) => {
    const width = fieldBytes(field);
    for (let plane = 0; plane < width; plane++) {
      for (let t = 0; t < n; t++) raw[to++] = values[i][t * width + plane];
    }
  });
  const block = zstdCompress(raw);
  const frame = new Uint8Array(headerBytes + block.length);
  const view = new DataView(frame.buffer);
  view.setUint32(0, magic, true);
  frame[4] = 1;
  view.setUint32(8, n, true);
  view.setUint32(12, raw.length, true);
  frame.set(block, headerBytes);
  view.setUint32(16, checksum(frame), true);
  return frame;
}

/** Values of each field of a sample of n positions. Throws `frame-damaged`. */
export function decodeInputs(
  frame: Uint8Array,
  fields: readonly InputField[],
  n: number,
): Uint8Array[] {
  checkInputs(frame, fields, n);
  const raw = decompress(frame, n * fields.reduce((sum, field) => sum + fieldBytes(field), 0));
  let from = 0;
  return fields.map((field) => {
    const width = fieldBytes(field);
    const values = new Uint8Array(n * width);
    for (let plane = 0; plane < width; plane++) {
      for (let t = 0; t < n; t++) values[t * width + plane] = raw[from++];
    }
    return values;
  });
}

/** All that can be checked without decompressing. Throws `frame-damaged`. */
export function checkInputs(frame: Uint8Array, fields: readonly InputField[], n: number): void {
  const got = frame.length;
  if (got < headerBytes)
    throw damaged('an input frame is shorter than its header', headerBytes, got);
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const head = [view.getUint32(0, true), view.getUint32(4, true), view.getUint32(8, true)];
  const raw = n * fields.reduce((sum, field) => sum + fieldBytes(field), 0);
  const expected = [magic, 1, n, raw];
  const found = [...head, view.getUint32(12, true)];
  if (found.join() !== expected.join()) {
    throw damaged(
      'an input frame has another magic, version, positions or length',
      expected,
      found,
    );
  }
  const [stored, actual] = [view.getUint32(16, true), checksum(frame)];
  if (stored !== actual) throw damaged("an input frame's checksum does not match", stored, actual);
}

function checksum(frame: Uint8Array): number {
  return crc32(frame.subarray(headerBytes), crc32(frame.subarray(0, 16)));
}

function decompress(frame: Uint8Array, rawBytes: number): Uint8Array {
  try {
    return zstdDecompress(frame.subarray(headerBytes), rawBytes);
  } catch (cause) {
    const reason = (cause as Error).message;
    throw damaged(
      `an input frame does not decompress (${reason})`,
      `${rawBytes} bytes`,
      'an error',
    );
  }
}
