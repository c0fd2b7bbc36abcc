/** Small dumps of logits whose tokens follow their distributions, so that alignment holds. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BuildConfig } from '../../schemas/build-config.ts';
import { buildConfig } from '../../schemas/build-config.ts';
import { toFloat16 } from '../../src/formats/float16.ts';

/** A small deterministic generator (mulberry32). */
export function random(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A `.npy` file: `descr` as NumPy writes it, e.g. `<f4`. */
export function npy(descr: string, shape: readonly number[], bytes: Uint8Array): Buffer {
  const dims = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${dims}), }`;
  const header = text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11 + 0, ' ');
  const head = Buffer.alloc(10);
  head.write('\x93NUMPY\x01\x00', 0, 'latin1');
  head.writeUInt16LE(header.length + 1, 8);
  return Buffer.concat([head, Buffer.from(`${header}\n`), bytes]);
}

export interface DumpShape {
  readonly positions: number;
  readonly vocabulary: number;
  readonly sampleLength: number;
  readonly seed?: number;
  readonly type?: 'f32' | 'f16';
}

export interface Dump {
  readonly logits: Float32Array;
  readonly tokens: Int32Array;
  readonly vocabulary: number;
  readonly source: BuildConfig['source'];
}

/** Writes `logits.npy` and `tokens.npy` to a folder: peaked rows, tokens drawn mostly from the peak. */
export function writeDump(folder: string, shape: DumpShape): Dump {
  const { positions, vocabulary, sampleLength, seed = 1, type = 'f32' } = shape;
  const next = random(seed);
  const logits = new Float32Array(positions * vocabulary);
  const tokens = new Int32Array(positions);
  for (let t = 0; t < positions; t++) {
    let best = 0;
    for (let v = 0; v < vocabulary; v++) {
      const x = -4 * Math.log(next() + 1e-9) * next();
      logits[t * vocabulary + v] = x;
      if (x > logits[t * vocabulary + best]) best = v;
    }
    if (t + 1 < positions) tokens[t + 1] = next() < 0.8 ? best : Math.floor(next() * vocabulary);
  }
  const half = type === 'f16';
  const values = half ? toFloat16(logits) : logits;
  const bytes = new Uint8Array(values.buffer);
  const descr = half ? '<f2' : '<f4';
  writeFileSync(join(folder, 'logits.npy'), npy(descr, [positions, vocabulary], bytes));
  const ids = new Uint8Array(tokens.buffer);
  writeFileSync(join(folder, 'tokens.npy'), npy('<i4', [positions], ids));
  const source = {
    type: 'dump' as const,
    logits: join(folder, 'logits.npy'),
    tokens: join(folder, 'tokens.npy'),
    teacher: 'dump',
    licence: 'none',
    sample_length: sampleLength,
  };
  return { logits, tokens, vocabulary, source };
}

/** A build configuration with defaults filled in. */
export function configOf(settings: Record<string, unknown>): BuildConfig {
  return buildConfig.parse(settings);
}
