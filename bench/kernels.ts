/** Top-k with log-sum-exp on one core, beside torch on one thread. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { FloatType } from '../src/distribution/rows.ts';
import { toFloat16 } from '../src/formats/float16.ts';
import { referenceEngine } from '../src/kernel/reference.ts';
import { createRowKernel } from '../src/kernel/row.ts';
import { createEngine } from '../src/kernel/wasm.ts';
import { buildBudget } from './build-budget.ts';
import { atMost, type Benchmark, type Figure, median, plain, spread } from './figure.ts';
import { benchPython, scripts } from './venv.ts';

const shape = { rows: 64, width: 128_256, k: 64 };
const rounds = 7;
const reach: Readonly<Record<FloatType, number>> = { f32: 3, bf16: 3, f16: 2.5 };
const lseErrorMax = 5e-6;

export const kernels: Benchmark = {
  name: 'kernels',
  summary: 'top-k + log-sum-exp beside torch, V=128,256, K=64; a build beside what these allow',
  async *run(log) {
    const rows = randomRows();
    yield* besideTorch(rows, log);
    yield* alone(rows);
    yield* buildBudget(log);
  },
};

/** A bulk within ±6, and 1,024 entries a row on a power law above it, as language has them. */
function randomRows(): Float32Array {
  let state = 2463534242;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  const values = new Float32Array(shape.rows * shape.width);
  for (let i = 0; i < values.length; i++) values[i] = 4 * (next() + next() + next() - 1.5);
  for (let row = 0; row < shape.rows; row++) {
    for (let rank = 1; rank <= 1024; rank++) {
      const id = Math.floor(next() * shape.width);
      values[row * shape.width + id] = 14 - 1.3 * Math.log(rank) + 0.5 * next();
    }
  }
  return values;
}

function typed(values: Float32Array, type: FloatType): Float32Array | Uint16Array {
  if (type === 'f32') return values;
  if (type === 'f16') return toFloat16(values);
  return Uint16Array.from(new Uint32Array(values.buffer), (word) => word >>> 16);
}

const gigabytes = (type: FloatType) => (shape.rows * shape.width * (type === 'f32' ? 4 : 2)) / 1e9;

function cpuOf(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** One pass over all rows; `inPlace`: they are already where the kernel reads them. */
function pass(type: FloatType, values: Float32Array | Uint16Array, inPlace: boolean): () => number {
  const { k, width } = shape;
  const kernel = createRowKernel({ k, width, type, temperatures: [] });
  return () => {
    let seconds = 0;
    for (let row = 0; row < shape.rows; row++) {
      const own = values.subarray(row * width, (row + 1) * width);
      if (inPlace) kernel.row.set(own as Float32Array);
      seconds += cpuOf(() => kernel.run(inPlace ? kernel.row : own, 0));
    }
    return seconds;
  };
}

async function* besideTorch(
  rows: Float32Array,
  log: (text: string) => void,
): AsyncGenerator<Figure> {
  const name = 'torch.topk + logsumexp, 1 thread';
  const types = Object.keys(reach) as FloatType[];
  let python: string;
  try {
    python = benchPython(log);
  } catch (error) {
    const [reason] = (error as Error).message.split('\n');
    yield { ...plain(`beside torch: it cannot be installed (${reason})`, 'GB/s', 0), peer: name };
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), 'logitcask-kernels-'));
  const file = join(folder, 'rows.f32');
  writeFileSync(file, new Uint8Array(rows.buffer));
  const script = join(scripts, 'kernels_peer.py');
  const child = spawn(python, [script, file, String(shape.rows), String(shape.k)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  try {
    for (const type of types) {
      const values = typed(rows, type);
      const [inPlace, copied] = [pass(type, values, true), pass(type, values, false)];
      const found = { inPlace: [] as number[], copied: [] as number[], torch: [] as number[] };
      for (let round = 0; round <= rounds; round++) {
        log(`kernels: ${type}, round ${round} of ${rounds}`);
        child.stdin.write(`${type}\n`);
        const torch = Number((await lines.next()).value);
        const ours = { inPlace: inPlace(), copied: copied(), torch };
        if (round === 0) continue; // warm-up
        for (const key of ['inPlace', 'copied', 'torch'] as const) {
          found[key].push(gigabytes(type) / ours[key]);
        }
      }
      const peer = { peer: `${name} (${spread(found.torch)})`, peerValue: median(found.torch) };
      for (const key of ['inPlace', 'copied'] as const) {
        const value = median(found[key]);
        const ratio = value / peer.peerValue;
        const goal = key === 'inPlace' ? reach[type] : null;
        const where = key === 'copied' ? 'copied in' : 'in place';
        yield {
          figure: `${type}, row ${where} (${spread(found[key])})`,
          unit: 'GB/s',
          value,
          ...peer,
          ratio,
          reach: goal === null ? null : `≥ ${goal} × torch`,
          ok: goal === null ? null : ratio >= goal,
        };
      }
    }
  } finally {
    child.kill();
    rmSync(folder, { recursive: true });
  }
}

/** Accuracy over float64 sums, and the plain TypeScript engine's speed. */
function* alone(rows: Float32Array): Generator<Figure> {
  const { k, width } = shape;
  const kernel = createRowKernel({ k, width, type: 'f32', temperatures: [] }, createEngine);
  let worst = 0;
  for (let row = 0; row < shape.rows; row++) {
    const own = rows.subarray(row * width, (row + 1) * width);
    kernel.run(own, 0);
    const max = own.reduce((a, b) => Math.max(a, b));
    const sum = own.reduce((total, x) => total + Math.exp(x - max), 0);
    worst = Math.max(worst, Math.abs(kernel.lse - (max + Math.log(sum))));
  }
  yield atMost('greatest error of the log-sum-exp', 'nats', worst, lseErrorMax);
  const plainKernel = createRowKernel({ k, width, type: 'f32', temperatures: [] }, referenceEngine);
  const some = 8;
  const seconds = cpuOf(() => {
    for (let row = 0; row < some; row++) plainKernel.run(rows, row * width);
  });
  yield plain('f32, the TypeScript engine', 'GB/s', (some * width * 4) / 1e9 / seconds);
}
