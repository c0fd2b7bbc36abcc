/**
 * Encoding and decoding on one core, in TypeScript and Python, beside the decoders without the
 * kernel and Parquet read by pyarrow.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setImmediate as turn } from 'node:timers/promises';
import { steps } from '../src/encode/levels.ts';
import { planes } from '../src/encode/planes.ts';
import { openBlock } from '../src/encode/planes-block.ts';
import { referenceTargets } from '../src/encode/planes-reference.ts';
import { type Sample, samples, tau } from './codec-inputs.ts';
import { type Figure, median, plain, spread } from './figure.ts';
import { benchPython, packageFolder, scripts } from './venv.ts';

const rounds = 7;
const turns = 40;

interface Case {
  readonly name: string;
  /** Positions a CPU second of one core that are asked for. */
  readonly reach: number | null;
  readonly file: string;
  readonly width: number;
  readonly sample: Sample;
  readonly decodes: boolean;
  /** What reads it in Python: the kernel, numpy, or pyarrow from Parquet instead of the frame. */
  readonly reader: 'kernel' | 'numpy' | 'parquet';
  readonly found: number[];
}

interface OwnCase extends Case {
  readonly positions: number;
  run(): void;
}

/** Cases run by this process, and those run by Python, on the same frames. */
async function prepare(folder: string): Promise<{ own: OwnCase[]; python: Case[] }> {
  const own: OwnCase[] = [];
  const python: Case[] = [];
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
    const common = { file, width, sample, decodes: true, positions: count };
    const decoding = (name: string, reach: number | null, reader: Case['reader'] = 'kernel') => {
      return { ...common, name: `decode ${name}, ${what}`, reach, reader, found: [] };
    };
    const plainly = () => void referenceTargets(openBlock(frame, { width }));
    own.push({ ...decoding('in JS', reach), run: () => void codec.decode([frame], count) });
    own.push({ ...decoding('in JS without the kernel', null), run: plainly });
    python.push(decoding('in Python', reach), decoding('in Python by numpy', null, 'numpy'));
    if (kind === 'unbiased' || compression === 'lz4') return;
    const encode = () => void codec.encode(targets);
    const encoding = { name: `encode, ${what}`, decodes: false, reach: 300_000, run: encode };
    own.push({ ...common, ...encoding, reader: 'kernel', found: [] });
    const parquet = `pyarrow reads Parquet int32 + float16 ZSTD-3, ${name}`;
    python.push({ ...common, name: parquet, reader: 'parquet', reach: null, found: [] });
  };
  for (const sample of topK) {
    add(sample, 'zstd', 1_500_000);
    add(sample, 'lz4', 2_400_000);
  }
  add(unbiased, 'zstd', 4_000_000);
  add(unbiased, 'lz4', 4_000_000);
  return { own, python };
}

/** Positions a CPU second; the event loop turns, so that native buffers are freed. */
async function speedOf({ positions, run }: OwnCase): Promise<number> {
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

export async function* codecSpeed(log: (text: string) => void): AsyncGenerator<Figure> {
  const folder = mkdtempSync(join(tmpdir(), 'logitcask-codec-'));
  const { own, python } = await prepare(folder);
  const peer = startPython(folder, python, log);
  for (let round = 0; round < rounds; round++) {
    log(`speed: round ${round + 1} of ${rounds}`);
    for (const one of own) one.found.push(await speedOf(one));
    const found = await peer?.round();
    for (const one of python) if (found !== undefined) one.found.push(found[one.name]);
  }
  peer?.stop();
  rmSync(folder, { recursive: true });
  for (const one of [...own, ...python]) {
    const parquet = python.find(
      (other) => other.reader === 'parquet' && other.sample === one.sample,
    );
    yield figureOf(one, one.decodes && parquet !== one ? parquet : undefined);
  }
}

function figureOf({ name, reach, found }: Case, parquet: Case | undefined): Figure {
  if (found.length === 0) {
    const figure = `${name}: Python cannot be installed`;
    return { ...plain(figure, 'positions/CPU-s', 0), value: null };
  }
  const value = median(found);
  const figure = plain(`${name} (${spread(found)})`, 'positions/CPU-s', value);
  if (reach === null) return figure;
  const asked = { reach: `≥ ${reach.toLocaleString('en')}`, ok: value >= reach };
  if (parquet === undefined) return { ...figure, ...asked };
  const peerValue = median(parquet.found);
  const peer = `${parquet.name} (${spread(parquet.found)})`;
  return { ...figure, ...asked, peer, peerValue, ratio: value / peerValue };
}

function startPython(folder: string, cases: readonly Case[], log: (text: string) => void) {
  let python: string;
  try {
    python = benchPython(log);
  } catch {
    return undefined;
  }
  const list = join(folder, 'cases.json');
  const fields = ['name', 'file', 'width', 'reader'];
  writeFileSync(list, JSON.stringify(cases, fields));
  const child = spawn(python, [join(scripts, 'codec_speed.py'), list], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, PYTHONPATH: packageFolder },
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async round(): Promise<Readonly<Record<string, number>>> {
      child.stdin.write('go\n');
      const { value, done } = await lines.next();
      if (done) throw new Error('codec_speed.py ended early');
      return JSON.parse(value);
    },
    stop: () => child.stdin.end(),
  };
}
