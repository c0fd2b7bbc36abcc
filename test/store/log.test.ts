import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openFileStore } from '../../src/store/file.ts';
import type { Log } from '../../src/store/log.ts';
import type { Store } from '../../src/store/store.ts';
import { coded } from '../contracts/store.ts';

let folder = '';
let store: Store;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-log-'));
  store = await openFileStore(folder);
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

/** Appends numbered records, several at a time, and writes a dot for each that is durable. */
const writer = `
  const { openFileStore } = await import('./dist/src/store/file.js');
  const { writeSync } = await import('node:fs');
  const store = await openFileStore(process.argv[1]);
  let count = 0;
  const log = await store.openLog('d/scores.log', () => count++);
  const append = async () => {
    for (;;) {
      const i = count++;
      await log.append(Buffer.from(i + ' ' + 'y'.repeat(i % 5000)));
      writeSync(1, '.');
    }
  };
  for (let i = 0; i < 5; i++) append();
`;

const place = () => join(folder, 'd', 'scores.log');

/** Opens the log; its records as text. */
async function opened(): Promise<{ log: Log; found: string[]; offsets: number[] }> {
  const found: string[] = [];
  const offsets: number[] = [];
  const log = await store.openLog('d/scores.log', (record, offset) => {
    found.push(record.toString('latin1'));
    offsets.push(offset);
  });
  return { log, found, offsets };
}

async function written(...records: string[]): Promise<number[]> {
  const { log } = await opened();
  const offsets = await Promise.all(records.map((text) => log.append(Buffer.from(text, 'latin1'))));
  await log.close();
  return offsets;
}

async function foundIn(bytes: Buffer) {
  writeFileSync(place(), bytes);
  const { log, found } = await opened();
  await log.close();
  return { found, torn: log.torn, damaged: log.damaged, bytes: log.bytes };
}

describe('a log', () => {
  it('gives back what was appended, in order, at its offsets, also when opened again', async () => {
    const offsets = await written('one', '', 'three');
    const { log, found, offsets: again } = await opened();
    expect(found).toEqual(['one', '', 'three']);
    expect(again).toEqual(offsets);
    expect((await log.read(offsets[2])).toString()).toBe('three');
    const fourth = await log.append(Buffer.from('four'));
    expect((await log.read(fourth)).toString()).toBe('four');
    await log.close();
    expect((await foundIn(readFileSync(place()))).found).toEqual(['one', '', 'three', 'four']);
  });

  it('cut short anywhere holds the records before the cut, and goes on behind them', async () => {
    await written('one', 'two and a half', 'three');
    const whole = readFileSync(place());
    const ends = [8, 8 + 11, 8 + 11 + 22, whole.length];
    for (let length = 0; length <= whole.length; length++) {
      const { found, torn, bytes } = await foundIn(whole.subarray(0, length));
      const count = Math.max(
        0,
        ends.findLastIndex((end) => end <= length),
      );
      expect(found).toEqual(['one', 'two and a half', 'three'].slice(0, count));
      expect(bytes).toBe(ends[count]);
      expect(torn).toBe(length < 8 ? length : length - ends[count]);
      await written('more');
      expect((await foundIn(readFileSync(place()))).found.slice(count)).toEqual(['more']);
    }
  });

  it('with a flipped bit gives no wrong record, and names what it leaves out', async () => {
    await written('first', 'second', 'third');
    const whole = readFileSync(place());
    const records = ['first', 'second', 'third'];
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 64, max: whole.length * 8 - 1 }), async (bit) => {
        const bytes = Buffer.from(whole);
        bytes[bit >> 3] ^= 1 << (bit & 7);
        const { found, torn, damaged } = await foundIn(bytes);
        expect(records).toEqual(expect.arrayContaining(found));
        expect(found.length).toBeLessThan(3);
        expect(torn + damaged).toBeGreaterThan(0);
      }),
      { numRuns: 60 },
    );
    const middle = Buffer.from(whole);
    middle[8 + 13 + 8] ^= 1; // the first byte of `second`
    expect(await foundIn(middle)).toMatchObject({ found: ['first', 'third'], damaged: 1, torn: 0 });
  });

  it('refuses a file that is no log, and a record that is damaged later', async () => {
    const [offset] = await written('one');
    const { log } = await opened();
    const bytes = readFileSync(place());
    bytes[bytes.length - 1] ^= 1;
    writeFileSync(place(), bytes);
    await expect(log.read(offset)).rejects.toThrowError(coded('log-damaged'));
    await expect(log.read(offset + 1)).rejects.toThrowError(coded('log-damaged'));
    await log.close();
    await expect(foundIn(Buffer.from('something else'))).rejects.toThrowError(coded('log-damaged'));
  });

  it('shares a sync between those that wait, and keeps their order', async () => {
    const { log } = await opened();
    const records = Array.from({ length: 500 }, (_, i) => `record ${i} ${'x'.repeat(i * 7)}`);
    const offsets = await Promise.all(records.map((text) => log.append(Buffer.from(text))));
    expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
    await log.close();
    expect((await opened()).found).toEqual(records);
  });

  it('killed at any moment has every record that it acknowledged', async () => {
    for (let run = 0; run < 8; run++) {
      const child = spawn(process.execPath, ['--input-type=module', '-e', writer, folder]);
      let acknowledged = '';
      child.stdout.on('data', (text) => {
        acknowledged += text;
      });
      await new Promise((resolve) => child.stdout.once('data', resolve));
      await new Promise((resolve) => setTimeout(resolve, 5 + run * 10));
      child.kill('SIGKILL');
      await new Promise((resolve) => child.once('close', resolve));
      const { log, found } = await opened();
      await log.close();
      expect(found).toEqual(found.map((_, i) => `${i} ${'y'.repeat(i % 5000)}`));
      expect(found.length).toBeGreaterThanOrEqual(acknowledged.length);
      expect(acknowledged.length).toBeGreaterThan(0);
    }
  });
});
