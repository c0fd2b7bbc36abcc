/**
 * Decoding in JavaScript, in a process of its own as Python's is: the targets that encoding needs
 * would be marked by every collection.
 *
 * usage: codec-decode.js CASES.json; a line on stdin runs every case once and prints
 * {name: positions a CPU second} as JSON.
 */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setImmediate as turn } from 'node:timers/promises';
import { compressions } from '../src/encode/compression.ts';
import { headerBytes } from '../src/encode/frame.ts';
import { decodeFrame } from '../src/encode/planes.ts';
import { openBlock } from '../src/encode/planes-block.ts';
import { lentTargets } from '../src/encode/planes-compiled.ts';
import { referenceTargets } from '../src/encode/planes-reference.ts';
import type { DecodeCase } from './codec-speed.ts';

const turns = 40;

interface Decoding {
  readonly name: string;
  readonly positions: number;
  run(): void;
}

function prepared({ name, file, width, reader }: DecodeCase): Decoding {
  const frame = new Uint8Array(readFileSync(file));
  const { header } = openBlock(frame, { width });
  const block = frame.subarray(headerBytes);
  const runs: Readonly<Record<string, () => void>> = {
    kernel: () => decodeFrame(frame, { width }),
    lent: () => lentTargets(openBlock(frame, { width }), 0),
    reference: () => referenceTargets(openBlock(frame, { width })),
    zstd: () => compressions.zstd.decompress(block, header.rawBytes),
  };
  return { name, positions: header.positions, run: runs[reader] };
}

/** Positions a CPU second; the event loop turns, so that native buffers are freed. */
async function speedOf({ positions, run }: Decoding): Promise<number> {
  for (let i = 0; i < turns; i += 4) {
    run();
    await turn();
  }
  const before = process.cpuUsage();
  for (let i = 0; i < turns; i++) {
    run();
    if (i % 4 === 3) await turn();
  }
  const { user, system } = process.cpuUsage(before);
  return (turns * positions * 1e6) / (user + system);
}

const cases = (JSON.parse(readFileSync(process.argv[2], 'utf8')) as DecodeCase[]).map(prepared);
for await (const _ of createInterface({ input: process.stdin })) {
  const found: [string, number][] = [];
  for (const one of cases) found.push([one.name, await speedOf(one)]);
  console.log(JSON.stringify(Object.fromEntries(found)));
}
