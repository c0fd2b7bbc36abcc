import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { readJsonLines } from '../../src/formats/jsonl.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-jsonl-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'lines.jsonl');

async function read(content: string | Buffer) {
  writeFileSync(file, content);
  const found: [number, unknown][] = [];
  for await (const { line, value } of readJsonLines(file)) found.push([line, value]);
  return found;
}

describe('JSON lines', () => {
  it('are read one by one, empty ones counted but left out', async () => {
    const expected = [
      [1, { a: [1, 2] }],
      [3, 'b'],
      [4, 3],
    ];
    const text = '{"a": [1, 2]}\n\n"b"\r\n3';
    expect(await read(text)).toEqual(expected);
    expect(await read(`${text}\n`)).toEqual(expected);
    expect(await read(gzipSync(text))).toEqual(expected);
    expect(await read(Buffer.concat([gzipSync('1\n2'), gzipSync('3\n4')]))).toEqual([
      [1, 1],
      [2, 23],
      [3, 4],
    ]);
    expect(await read('')).toEqual([]);
  });

  it('may be longer than the pieces that are read', async () => {
    const long = { text: 'ü'.repeat(400_000), after: 1 };
    const text = `${JSON.stringify(long)}\n[1]\n`;
    expect(await read(text)).toEqual([
      [1, long],
      [2, [1]],
    ]);
    expect(await read(gzipSync(text))).toHaveLength(2);
  });

  it('may hold the infinities and NaN of Python, which strings keep', async () => {
    const [[, value]] = await read(
      '{"x": [-Infinity, NaN, Infinity, 1], "NaN": "-Infinity \\" NaN"}',
    );
    expect(value).toEqual({ x: ['-Infinity', 'NaN', 'Infinity', 1], NaN: '-Infinity " NaN' });
  });

  it.each([
    ['no JSON', 'line 2 of', '1\n{'],
    ['a line of more than the limit', 'is over 33554432 bytes', Buffer.alloc(33_800_000, 32)],
    ['gzip that is cut', 'unexpected end of file', gzipSync('[1]').subarray(0, 15)],
    ['gzip that is damaged', 'incorrect data check', gzipSync('[1]').fill(7, 15)],
  ])('of %s are refused', async (_, what, content) => {
    const error = { code: 'source-unreadable', message: expect.stringContaining(what) };
    await expect(read(content)).rejects.toMatchObject(error);
  });

  it('can be left in the middle', async () => {
    writeFileSync(file, gzipSync('1\n2\n'.repeat(1_000_000)));
    for await (const { value } of readJsonLines(file)) {
      expect(value).toBe(1);
      break;
    }
  });
});
