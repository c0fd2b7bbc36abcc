import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { integersOf, openNpy, parseNpyHeader } from '../../src/formats/npy.ts';
import { npy } from '../support/dump.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-npy-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A header as any writer may put it: of a version, with its own text. */
function headerOf(text: string, version = 1): Buffer {
  const head = Buffer.alloc(version === 1 ? 10 : 12);
  head.write('\x93NUMPY', 0, 'latin1');
  head[6] = version;
  if (version === 1) head.writeUInt16LE(text.length, 8);
  else head.writeUInt32LE(text.length, 8);
  return Buffer.concat([head, Buffer.from(text)]);
}

const arrays = {
  '|i1': Int8Array,
  '|u1': Uint8Array,
  '<i2': Int16Array,
  '<u2': Uint16Array,
  '<i4': Int32Array,
  '<u4': Uint32Array,
  '<i8': BigInt64Array,
  '<u8': BigUint64Array,
} as const;

/** Ids that were written as `type`. */
function ids(type: keyof typeof arrays, values: readonly (number | bigint)[]): Int32Array {
  const array = new arrays[type](values as never);
  const bytes = Buffer.from(array.buffer);
  return integersOf(bytes, parseNpyHeader(npy(type, [values.length], bytes), 'f'), 'f');
}

describe('a .npy header', () => {
  it.each([1, 2, 3])('is read in version %d', (version) => {
    const text = "{'descr': '<f2', 'fortran_order': False, 'shape': (3, 5), }\n";
    const bytes = headerOf(text, version);
    expect(parseNpyHeader(bytes, 'f')).toEqual({
      type: 'f2',
      width: 2,
      shape: [3, 5],
      dataOffset: bytes.length,
    });
  });

  it('is read with its members in any order, for any number of dimensions', () => {
    for (const [shape, expected] of [
      ['()', []],
      ['(7,)', [7]],
      ['(0, 3)', [0, 3]],
      ['(2,3,4)', [2, 3, 4]],
    ] as const) {
      const text = `{'shape': ${shape}, 'fortran_order': False, 'descr': '|u1'}`;
      expect(parseNpyHeader(headerOf(text), 'f').shape).toEqual(expected);
    }
  });

  it.each([
    ['another magic', Buffer.from('NUMPY 1.0 and more bytes')],
    ['no bytes', Buffer.alloc(0)],
    ['version 4', headerOf("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", 4)],
    ['a cut header', headerOf("{'descr': '<f4', 'fortran_order': False}").subarray(0, 20)],
    ['big-endian', headerOf("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }")],
    ['objects', headerOf("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }")],
    ['records', headerOf("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}")],
    ['float64', headerOf("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }")],
    ['Fortran order', headerOf("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2), }")],
    ['no shape', headerOf("{'descr': '<f4', 'fortran_order': False, }")],
    ['a shape below 0', headerOf("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }")],
    ['a shape of words', headerOf("{'descr': '<f4', 'fortran_order': False, 'shape': (n,), }")],
  ])('with %s is refused', (_, bytes) => {
    const parse = () => parseNpyHeader(bytes, 'f.npy');
    expect(parse).toThrow(expect.objectContaining({ code: 'source-unreadable' }));
    expect(parse).toThrow('f.npy');
  });
});

describe('ids in .npy', () => {
  it('are read from every integer type', () => {
    for (const type of ['|u1', '<u2', '<u4'] as const)
      expect([...ids(type, [0, 1, 255])]).toEqual([0, 1, 255]);
    for (const type of ['|i1', '<i2', '<i4'] as const)
      expect([...ids(type, [-1, 0, 127])]).toEqual([-1, 0, 127]);
    expect([...ids('<i8', [-1n, 0n, 2n ** 31n - 1n])]).toEqual([-1, 0, 2 ** 31 - 1]);
    expect([...ids('<u8', [0n, 128_255n])]).toEqual([0, 128_255]);
  });

  it('that do not fit 32 bits are out of range', () => {
    const outside = expect.objectContaining({ code: 'token-out-of-range' });
    expect(() => ids('<u4', [2 ** 31])).toThrow(outside);
    expect(() => ids('<i8', [2n ** 31n])).toThrow(outside);
    expect(() => ids('<i8', [-(2n ** 31n) - 1n])).toThrow(outside);
    expect(() => ids('<u8', [2n ** 64n - 1n])).toThrow(outside);
  });

  it('that are floats are refused', () => {
    const header = parseNpyHeader(npy('<f4', [1], Buffer.alloc(4)), 'f');
    expect(() => integersOf(Buffer.alloc(4), header, 'f')).toThrow(
      expect.objectContaining({ code: 'source-unreadable' }),
    );
  });
});

describe('a .npy file', () => {
  const values = Buffer.from(Float32Array.from({ length: 12 }, (_, i) => i).buffer);
  const write = (name: string, bytes: Buffer) => {
    const file = join(folder, name);
    writeFileSync(file, bytes);
    return file;
  };

  it('is read by position, into memory aligned for typed arrays', async () => {
    const npyFile = await openNpy(write('whole.npy', npy('<f4', [3, 4], values)));
    const bytes = await npyFile.read(16, 8);
    expect([...new Float32Array(bytes.buffer, bytes.byteOffset, 2)]).toEqual([4, 5]);
    await expect(npyFile.read(40, 16)).rejects.toMatchObject({ code: 'source-unreadable' });
    await npyFile.close();
  });

  it('cut at any byte, or longer than it says, is refused', async () => {
    const whole = npy('<f4', [3, 4], values);
    for (let length = 0; length < whole.length; length++) {
      const opening = openNpy(write('cut.npy', whole.subarray(0, length)));
      await expect(opening).rejects.toMatchObject({ code: 'source-unreadable' });
    }
    const longer = openNpy(write('longer.npy', Buffer.concat([whole, Buffer.alloc(1)])));
    await expect(longer).rejects.toMatchObject({ code: 'source-unreadable' });
  });

  it('that is missing, or a folder, is refused', async () => {
    for (const file of [join(folder, 'none.npy'), folder]) {
      await expect(openNpy(file)).rejects.toMatchObject({ code: 'source-unreadable' });
    }
  });
});
