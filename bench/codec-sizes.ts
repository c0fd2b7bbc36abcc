/** Bytes a position of `planes` + ZSTD targets at K=64, at two fidelities, for any teacher. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { toFloat16 } from '../src/formats/float16.ts';
import { builtSize } from './built-size.ts';
import { atMost, type Figure, plain, smaller } from './figure.ts';
import { folder, npyHeader, smallLm, v128k } from './inputs.ts';
import { peer } from './pipe-sizes.ts';

type Source = Readonly<Record<string, unknown>>;

interface Case {
  readonly name: string;
  readonly source: Source;
  /** Codec and budget of the build. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly klMax: number;
  /** How many times smaller; null where no codec could be: printed only. */
  readonly reach: number | null;
}

const lm = { type: 'dump', ...smallLm, sample_length: 512 };
const syn = { type: 'dump', logits: v128k, sample_length: 1024 };
const planes = { type: 'planes' };
const fine = { ...planes, step: 'fine' };
const standard = { ...planes, step: 'standard' };
const sparsifier = { type: 'top-k', k: 64 };
const solved = { codec: planes, budget: { max_kl: 0.99e-4 } }; // solved on the first positions alone

function cases(): readonly Case[] {
  const hostile = { type: 'dump', ...randomDump(), sample_length: 512 };
  const ngram = { type: 'ngram', samples: 48, sample_length: 512 };
  const other = { settings: solved, klMax: 1e-4 };
  return [
    { name: 'small LM', source: lm, settings: { codec: fine }, klMax: 1e-4, reach: 5.5 },
    { name: 'v128k-syn', source: syn, settings: { codec: fine }, klMax: 1e-4, reach: 6.4 },
    { name: 'small LM', source: lm, settings: { codec: standard }, klMax: 1e-3, reach: 6.2 },
    { name: 'v128k-syn', source: syn, settings: { codec: standard }, klMax: 1e-3, reach: 8 },
    { name: 'embedded n-gram teacher', source: ngram, ...other, reach: 4.2 },
    { name: 'random logits of V=32,768', source: hostile, ...other, reach: null },
  ];
}

/** DistillKit, K=64, `normalize_t`: the bytes of its published configuration, as arithmetic. */
const distillKit = [
  { name: 'small LM', source: lm, bytes: 160, kl: 1.5e-4 },
  { name: 'v128k-syn', source: syn, bytes: 192, kl: 6.9e-5 },
] as const;

export async function* codecSizes(log: (text: string) => void): AsyncGenerator<Figure> {
  for (const { name, source, settings, klMax, reach } of cases()) {
    log(`sizes: ${name}, KL ≤ ${klMax}`);
    const { targets, kl } = await builtSize({ source, sparsifier, ...settings });
    const what = `${name}, ${source.sample_length} positions a sample, KL ≤ ${klMax}`;
    yield smaller({ figure: `targets, ${what}`, unit: 'B/position', value: targets }, peer, reach);
    yield atMost(`mean KL, ${what}`, 'nats', kl, klMax);
  }
  for (const { name, source, bytes, kl } of distillKit) {
    const size = await builtSize({
      source,
      sparsifier,
      codec: planes,
      budget: { max_kl: 0.99 * kl },
    });
    const figure = `targets, ${name}, KL ${size.kl} beside DistillKit's ${kl}`;
    const theirs = { name: 'DistillKit normalize_t, by arithmetic', value: bytes };
    yield smaller({ figure, unit: 'B/position', value: size.targets }, theirs, 1.6);
  }
  const reason = 'DistillKit run: pip finds no package `distillkit`, its byte counts stand alone';
  yield { ...plain(reason, 'B/position', 0), value: null, peer: 'DistillKit' };
  yield* shortSamples(log);
}

/** What a sample's length costs, frame headers included; printed, nothing is asked. */
async function* shortSamples(log: (text: string) => void): AsyncGenerator<Figure> {
  const teachers = { 'small LM': smallLm, 'v128k-syn': { logits: v128k } };
  for (const [name, files] of Object.entries(teachers)) {
    for (const length of [16, 128, 256, 512, 1024]) {
      if (name === 'small LM' && length > 512) continue; // it has 512 rows
      log(`sizes: ${name}, ${length} positions a sample`);
      const source = { type: 'dump', ...files, sample_length: length };
      const { targets } = await builtSize({ source, sparsifier, codec: fine });
      const figure = `targets at step fine, ${name}, ${length} positions a sample`;
      yield smaller({ figure, unit: 'B/position', value: targets }, peer, null);
    }
  }
}

/** Normal logits, ids without any order: nothing but the step and the planes makes them smaller. */
function randomDump(): { logits: string; tokens: string } {
  const [rows, width, seed] = [512, 32_768, 'hostile'];
  mkdirSync(folder, { recursive: true });
  const logits = join(folder, 'hostile.npy');
  const tokens = join(folder, 'hostile-tokens.npy');
  if (existsSync(tokens)) return { logits, tokens };
  const values = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    // SHAKE256: two uniform 32-bit numbers a pair of normal ones
    const bytes = createHash('shake256', { outputLength: 4 * width }).update(`${seed} ${row}`);
    const uniform = new Uint32Array(new Uint8Array(bytes.digest()).buffer);
    for (let i = 0; i < width; i += 2) {
      const radius = 3 * Math.sqrt(-2 * Math.log((uniform[i] + 1) / 2 ** 32));
      const angle = 2 * Math.PI * (uniform[i + 1] / 2 ** 32);
      values[row * width + i] = radius * Math.cos(angle);
      values[row * width + i + 1] = radius * Math.sin(angle);
    }
  }
  const half = toFloat16(values);
  writeFileSync(logits, Buffer.concat([npyHeader('<f2', [rows, width]), Buffer.from(half.buffer)]));
  const best = Int32Array.from({ length: rows }, (_, row) => bestOf(values, row - 1, width));
  writeFileSync(tokens, Buffer.concat([npyHeader('<i4', [rows]), Buffer.from(best.buffer)]));
  return { logits, tokens };
}

/** Each token is the most probable one of the row before, so that the rows count as aligned. */
function bestOf(values: Float32Array, row: number, width: number): number {
  if (row < 0) return 0;
  const own = values.subarray(row * width, (row + 1) * width);
  return own.reduce((best, value, id) => (value > own[best] ? id : best), 0);
}
