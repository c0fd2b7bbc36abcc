/** Inputs of the benchmarks: dumps made from the golden files, and where they are kept. */
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { fromFloat16, toFloat16 } from '../src/formats/float16.ts';
import { bytesOf } from '../src/formats/layout.ts';

export const folder = join(tmpdir(), 'logitcask-bench');
const golden = new URL('../../test/golden/logits/', import.meta.url).pathname;

/**
 * Raw logits of the small LM (512 rows, V=8,192), and the synthetic teacher's lists (V=128,256).
 */
export const smallLm = {
  logits: join(golden, 'small-lm-rows0-511.f16.npy'),
  tokens: join(golden, 'small-lm-rows0-511.tokens.npy'),
  next: join(golden, 'small-lm-rows0-511.next.npy'),
};
export const v128k = join(golden, 'v128k-syn-top1024.npz');

const rows = 512;
const width = 8192;
const idStep = 1297;
const headerBytes = 128;

export function npyHeader(descr: string, shape: readonly number[]): Buffer {
  const dims = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${dims}), }`;
  const head = Buffer.alloc(headerBytes, ' ');
  head.write('\x93NUMPY\x01\x00', 0, 'latin1');
  head.writeUInt16LE(headerBytes - 10, 8);
  head.write(text, 10, 'latin1');
  head[headerBytes - 1] = 10;
  return head;
}

/** Ids as int32 `.npy`. */
export function writeIds(file: string, ids: Int32Array): void {
  writeFileSync(file, Buffer.concat([npyHeader('<i4', [ids.length]), bytesOf(ids)]));
}

/**
 * The small LM's rows repeated `times` times as one dump, made once and kept. Each repeat moves all
 * ids by a step of its own, so that no compressor finds one repeat in another; `scaled` ones have
 * logits of their own too, which matters where log-probs are compressed as they are.
 */
export async function repeatedDump(
  times: number,
  { scaled = false } = {},
): Promise<{ logits: string; tokens: string }> {
  mkdirSync(folder, { recursive: true });
  const logits = join(folder, `${scaled ? 'scaled' : 'logits'}-${times}.npy`);
  const tokens = join(folder, `tokens-${times}.npy`);
  const one = dataOf(smallLm.logits);
  const bytes = headerBytes + times * one.length;
  if (existsSync(logits) && statSync(logits).size === bytes) return { logits, tokens };
  const ids = new Int32Array(new Uint8Array(dataOf(smallLm.tokens)).buffer);
  const moved = (repeat: number) => (repeat * idStep) % width;
  const all = Int32Array.from({ length: times * rows }, (_, i) => {
    return (ids[i % rows] + moved(Math.floor(i / rows))) % width;
  });
  writeIds(tokens, all);
  const out = createWriteStream(logits);
  out.write(npyHeader('<f2', [all.length, width]));
  for (let repeat = 0; repeat < times; repeat++) {
    const own = scaled ? scaledBy(one, 1 + repeat / 1024) : one;
    const piece = moveIds(own, 2 * moved(repeat));
    if (!out.write(piece)) await new Promise<void>((resolve) => out.once('drain', resolve));
  }
  out.end();
  await finished(out);
  return { logits, tokens };
}

function dataOf(file: string): Buffer {
  const bytes = readFileSync(file);
  return bytes.subarray(10 + bytes.readUInt16LE(8));
}

function scaledBy(halves: Buffer, factor: number): Buffer {
  const values = fromFloat16(new Uint16Array(new Uint8Array(halves).buffer));
  return Buffer.from(toFloat16(values.map((value) => value * factor)).buffer);
}

/** Every row rotated to the right. */
function moveIds(all: Buffer, byBytes: number): Buffer {
  const rowBytes = 2 * width;
  const out = Buffer.allocUnsafe(all.length);
  for (let at = 0; at < all.length; at += rowBytes) {
    all.copy(out, at + byBytes, at, at + rowBytes - byBytes);
    all.copy(out, at, at + rowBytes - byBytes, at + rowBytes);
  }
  return out;
}
