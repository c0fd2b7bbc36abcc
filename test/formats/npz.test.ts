import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openNpz } from '../../src/formats/npz.ts';
import { random } from '../support/dump.ts';
import { int32Npy, writeNpz } from '../support/npz.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-npz-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'a.npz');

const next = random(3);
const values = Int32Array.from({ length: 600_000 }, () => next() * 1000);
const bytes = Buffer.from(values.buffer);
const members = { big: int32Npy([6000, 100], values), small: int32Npy([2], [7, 8]) };

describe.each([{ deflate: true }, { deflate: false }])('a .npz with %o', (options) => {
  it('gives its members in lockstep, in pieces of any size', async () => {
    writeNpz(file, { ...members, other: members.big }, options);
    const npz = await openNpz(file);
    expect(npz.names).toEqual(['big', 'small', 'other']);
    const [a, b] = [await npz.open('big'), await npz.open('other')];
    expect(a.header).toMatchObject({ type: 'i4', shape: [6000, 100] });
    await b.skip(1_500_004);
    for (let at = 0, step = 1; at < bytes.length; at += step, step = (step * 3) % 300_007) {
      step = Math.min(step, bytes.length - at);
      expect((await a.take(step)).equals(bytes.subarray(at, at + step))).toBe(true);
    }
    expect((await b.take(1000)).equals(bytes.subarray(1_500_004, 1_501_004))).toBe(true);
    expect([...(await (await npz.open('small')).take(8))]).toEqual([7, 0, 0, 0, 8, 0, 0, 0]);
    npz.close();
  });

  it('can be left while its members are read', async () => {
    writeNpz(file, { ...members, other: members.big }, options);
    for (let i = 0; i < 20; i++) {
      const npz = await openNpz(file);
      const opened = [await npz.open('big'), await npz.open('other')];
      await Promise.all(opened.map((member) => member.take(100 + i * 20_000)));
      for (const member of opened) member.close();
      npz.close();
    }
    await new Promise((resolve) => setTimeout(resolve, 20)); // a late read must not throw
  });

  it('refuses to read past the end of a member', async () => {
    writeNpz(file, members, options);
    const npz = await openNpz(file);
    const small = await npz.open('small');
    await expect(small.take(9)).rejects.toMatchObject({ code: 'source-unreadable' });
    npz.close();
  });

  it('is refused where a byte of a member is damaged', async () => {
    writeNpz(file, members, options);
    const whole = readFileSync(file);
    for (const at of [500, 100_000, 500_000]) {
      const damaged = Buffer.from(whole);
      damaged[at] ^= 16;
      writeFileSync(file, damaged);
      const npz = await openNpz(file);
      const reading = npz.open('big').then((member) => member.take(bytes.length));
      await expect(reading).rejects.toMatchObject({ code: 'source-unreadable' });
      npz.close();
    }
  });

  it('is refused where a member is no whole .npy', async () => {
    const cut = members.small;
    const broken = { none: Buffer.alloc(0), short: cut.subarray(0, 8), cut: cut.subarray(0, -1) };
    writeNpz(file, { ...broken, text: Buffer.from('no numpy, but long enough') }, options);
    const npz = await openNpz(file);
    for (const name of [...npz.names, 'absent']) {
      await expect(npz.open(name)).rejects.toMatchObject({ code: 'source-unreadable' });
    }
    npz.close();
  });
});

describe('a file that is no .npz', () => {
  it('is refused: missing, empty, no zip, or a zip that is cut', async () => {
    writeNpz(file, members);
    const whole = readFileSync(file);
    const files = {
      empty: Buffer.alloc(0),
      text: Buffer.from('not a zip'),
      cut: whole.subarray(0, whole.length - 30),
    };
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
    for (const name of ['missing', ...Object.keys(files)]) {
      const opening = openNpz(join(folder, name));
      await expect(opening).rejects.toMatchObject({ code: 'source-unreadable' });
    }
  });

  it('is refused where a member has a compression that is unknown', async () => {
    writeNpz(file, members);
    const zip = readFileSync(file);
    zip.writeUInt16LE(14, zip.indexOf(Buffer.from([0x50, 0x4b, 1, 2])) + 10); // LZMA
    writeFileSync(file, zip);
    const npz = await openNpz(file);
    await expect(npz.open('big')).rejects.toMatchObject({ code: 'source-unreadable' });
    npz.close();
  });
});
