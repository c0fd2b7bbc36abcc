import { createHash } from 'node:crypto';
import {
  appendFileSync,
  closeSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { digestOfFile } from '../../src/capture/input-file.ts';
import { createThreads } from '../../src/capture/threads.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-input-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'input');
const pieceBytes = 64 * 1024 * 1024;
const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex');

describe('the digest of an input file', () => {
  it.each([0, 5, 3 * 1024 * 1024 + 1])('of %i bytes is their SHA-256', async (bytes) => {
    const content = Buffer.alloc(bytes, 'teacher');
    writeFileSync(file, content);
    expect(await digestOfFile(file)).toBe(sha256(content));
  });

  it('of exactly one piece is its SHA-256, and one byte more makes two pieces', async () => {
    writeFileSync(file, 'teacher');
    truncateSync(file, pieceBytes); // a hole: zeros that take no disk
    const first = Buffer.alloc(pieceBytes);
    first.write('teacher');
    const digest = sha256(first);
    expect(await digestOfFile(file)).toBe(digest);
    truncateSync(file, pieceBytes + 1);
    const list = JSON.stringify([digest, sha256(Buffer.alloc(1))]);
    expect(await digestOfFile(file)).toBe(sha256(list));
  });

  it('is the same by threads at hand, which go on', async () => {
    writeFileSync(file, 'teacher');
    truncateSync(file, 2 * pieceBytes + 1);
    const digest = await digestOfFile(file);
    const threads = createThreads(2);
    try {
      for (let times = 0; times < 2; times++) {
        expect(await digestOfFile(file, threads)).toBe(digest);
      }
    } finally {
      await threads.close();
    }
  });

  it('counts pieces in their order', async () => {
    const at = async (place: number) => {
      writeFileSync(file, '');
      truncateSync(file, 2 * pieceBytes);
      const handle = openSync(file, 'r+');
      writeSync(handle, 'a', place);
      closeSync(handle);
      return digestOfFile(file);
    };
    expect(await at(0)).not.toBe(await at(pieceBytes));
  });

  it('of one that grows or is replaced meanwhile is refused', async () => {
    const grow = () => appendFileSync(file, 'x');
    const replace = () => {
      writeFileSync(`${file}-new`, 'x');
      renameSync(`${file}-new`, file);
    };
    for (const change of [grow, replace]) {
      writeFileSync(file, '');
      truncateSync(file, 3 * pieceBytes); // threads take longer to start than the first change
      const changing = setInterval(change, 1);
      const found = await digestOfFile(file).catch((error: unknown) => error);
      clearInterval(changing);
      expect(found).toMatchObject({
        code: 'source-unreadable',
        message: expect.stringContaining('changed while it was read'),
      });
    }
  });

  it('of none is refused', async () => {
    const missing = join(folder, 'missing');
    await expect(digestOfFile(missing)).rejects.toThrow(
      expect.objectContaining({ code: 'source-unreadable', got: missing }),
    );
  });
});
