/**
 * Encoding and decoding on one core, in TypeScript and Python, beside the decoders without the
 * kernel, what the ZSTD libraries take of it, and Parquet read by pyarrow.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setImmediate as turn } from 'node:timers/promises';
import type { Codec } from '../src/encode/codec.ts';
import { steps } from '../src/encode/levels.ts';
import { planes } from '../src/encode/planes.ts';
import { type Sample, samples, tau } from './codec-inputs.ts';
import { type Figure, median, plain, spread } from './figure.ts';
import { benchPython, packageFolder, scripts } from './venv.ts';

const nodeScript = new URL('./codec-decode.js', import.meta.url).pathname;
const rounds = 7;
const turns = 40;

/** A frame to decode, in a process of its own. */
export interface DecodeCase {
  readonly name: string;
  readonly file: string;
  readonly width: number;
  /**
   * What reads it: the kernel; the kernel, lending its memory; TypeScript or numpy without it; the
   * ZSTD library alone; or pyarrow, from Parquet instead of the frame.
   */
  readonly reader: 'kernel' | 'lent' | 'reference' | 'numpy' | 'zstd' | 'parquet';
}

interface Case extends DecodeCase {
  readonly language: 'js' | 'python';
  readonly sample: Sample;
  /** Positions a CPU second of one core that are asked for. */
  readonly reach: number | null;
  readonly found: number[];
}

interface Encoding {
  readonly name: string;
  readonly sample: Sample;
  readonly codec: Codec;
  readonly reach: number;
  readonly found: number[];
}

async function prepare(folder: string): Promise<{ encoding: Encoding[]; decoding: Case[] }> {
  const encoding: Encoding[] = [];
  const decoding: Case[] = [];
  const { topK, unbiased } = await samples();
  const add = (sample: Sample, compression: 'zstd' | 'lz4', reach: number) => {
    const { name, width, targets } = sample;
    const { count, kind } = targets;
    const step = kind === 'unbiased' ? steps.standard : steps.fine;
    const codec = planes({ kind, step, tau, compression, width });
    const [frame] = codec.encode(targets) as Uint8Array[];
    const entries = (targets.ids.length / count).toFixed(1);
    const what = `${name}, ${kind}, ${entries} entries, ${count} positions, ${compression}`;
    const file = join(folder, `${what}.bin`);
    writeFileSync(file, frame);
    const put = (
      name: string,
      language: Case['language'],
      reader: Case['reader'],
      reach: number | null = null,
    ) => decoding.push({ name, language, reader, reach, file, width, sample, found: [] });
    put(`decode in JS, ${what}`, 'js', 'kernel', reach);
    put(`decode in JS into lent memory, ${what}`, 'js', 'lent');
    put(`decode in JS without the kernel, ${what}`, 'js', 'reference');
    put(`decode in Python, ${what}`, 'python', 'kernel', reach);
    put(`decode in Python by numpy, ${what}`, 'python', 'numpy');
    if (compression === 'zstd') {
      put(`ZSTD alone in JS, ${what}`, 'js', 'zstd');
      put(`ZSTD alone by pyarrow, ${what}`, 'python', 'zstd');
    }
    if (kind === 'unbiased' || compression === 'lz4') return;
    encoding.push({ name: `encode, ${what}`, sample, codec, reach: 300_000, found: [] });
    put(`pyarrow reads Parquet int32 + float16 ZSTD-3, ${name}`, 'python', 'parquet');
  };
  for (const sample of topK) {
    add(sample, 'zstd', 1_500_000);
    add(sample, 'lz4', 2_400_000);
  }
  add(unbiased, 'zstd', 4_000_000);
  add(unbiased, 'lz4', 4_000_000);
  return { encoding, decoding };
}

/** Positions a CPU second; the event loop turns, so that native buffers are freed. */
async function speedOf({ sample: { targets }, codec }: Encoding): Promise<number> {
  for (let i = 0; i < turns; i += 4) {
    codec.encode(targets);
    await turn();
  }
  const before = process.cpuUsage();
  for (let i = 0; i < turns; i++) {
    codec.encode(targets);
    if (i % 4 === 3) await turn();
  }
  const { user, system } = process.cpuUsage(before);
  return (turns * targets.count * 1e6) / (user + system);
}

export async function* codecSpeed(log: (text: string) => void): AsyncGenerator<Figure> {
  const folder = mkdtempSync(join(tmpdir(), 'logitcask-codec-'));
  const { encoding, decoding } = await prepare(folder);
  const casesIn = (language: Case['language']) =>
    decoding.filter((one) => one.language === language);
  const peers = [
    startPeer(folder, casesIn('js'), [process.execPath, nodeScript]),
    startPeer(folder, casesIn('python'), pythonCommand(log)),
  ];
  for (let round = 0; round < rounds; round++) {
    log(`speed: round ${round + 1} of ${rounds}`);
    for (const one of encoding) one.found.push(await speedOf(one));
    for (const peer of peers) await peer?.round();
  }
  for (const peer of peers) peer?.stop();
  rmSync(folder, { recursive: true });
  for (const one of decoding) yield figureOf(one, decoding);
  for (const { name, reach, found } of encoding) yield asked(speedFigure(name, found), reach);
}

/** Median, its spread in the name. */
function speedFigure(name: string, found: readonly number[]): Figure {
  return plain(`${name} (${spread(found)})`, 'positions/CPU-s', median(found));
}

function asked(figure: Figure, reach: number): Figure {
  const ok = figure.value !== null && figure.value >= reach;
  return { ...figure, reach: `≥ ${reach.toLocaleString('en')}`, ok };
}

function figureOf(one: Case, all: readonly Case[]): Figure {
  const { name, reach, reader, found } = one;
  if (found.length === 0) {
    const figure = `${name}: Python cannot be installed`;
    return { ...plain(figure, 'positions/CPU-s', 0), value: null };
  }
  const figure = speedFigure(name, found);
  if (reader === 'zstd') {
    const whole = all.find((other) => other.reader === 'kernel' && isLike(one, other)) as Case;
    const share = Math.round((100 * median(whole.found)) / median(found));
    return { ...figure, figure: `${figure.figure}: ${share} % of the time of decoding` };
  }
  if (reach === null) return figure;
  const parquet = all.find((other) => other.reader === 'parquet' && other.sample === one.sample);
  if (parquet === undefined || parquet.found.length === 0) return asked(figure, reach);
  const peer = `${parquet.name} (${spread(parquet.found)})`;
  const peerValue = median(parquet.found);
  return { ...asked(figure, reach), peer, peerValue, ratio: median(found) / peerValue };
}

function isLike(one: Case, other: Case): boolean {
  return other.language === one.language && other.file === one.file;
}

function pythonCommand(log: (text: string) => void): readonly string[] | undefined {
  try {
    return [benchPython(log), join(scripts, 'codec_speed.py')];
  } catch {
    return undefined;
  }
}

/** A process that runs every case once for each line it gets; undefined without its command. */
function startPeer(folder: string, cases: readonly Case[], command?: readonly string[]) {
  if (command === undefined) return undefined;
  const [program, script] = command;
  const list = join(folder, `${cases[0].language}.json`);
  writeFileSync(list, JSON.stringify(cases, ['name', 'file', 'width', 'reader']));
  const child = spawn(program, [script, list], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, PYTHONPATH: packageFolder },
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async round(): Promise<void> {
      child.stdin.write('go\n');
      const { value, done } = await lines.next();
      if (done) throw new Error(`${script} ended early`);
      for (const one of cases) one.found.push(JSON.parse(value)[one.name]);
    },
    stop: () => child.stdin.end(),
  };
}
