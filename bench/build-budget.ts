/** A build from a dump on all cores, beside what its kernel, its encoder and its disk allow. */
import { createHash } from 'node:crypto';
import { mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { planes } from '../src/encode/planes.ts';
import { createSparsifier } from '../src/sparsify/table.ts';
import { atMost, type Figure, median, plain, spread } from './figure.ts';
import { repeatedDump } from './inputs.ts';
import { cli, measure } from './process.ts';

const repeats = 256; // 131,072 positions, 2 GiB
const shape = { rows: 512, width: 8192 };
const rounds = 3;
const excessMax = 1.25;
const limitMiB = 512;

/** Seconds of one core for a repeat of 512 rows, by what nothing can do without. */
function floorOf(logits: string): Record<'read' | 'kernel' | 'encode' | 'digest', number> {
  const bytes = Buffer.alloc(shape.rows * shape.width * 2);
  const file = openSync(logits, 'r');
  const timed = (work: () => void) => {
    const started = performance.now();
    work();
    return (performance.now() - started) / 1000;
  };
  const sparsifier = createSparsifier({ type: 'top-k', k: 64 });
  const codec = planes({ kind: 'scaled', step: 0.003, compression: 'zstd', width: shape.width });
  const found = { read: 0, kernel: 0, encode: 0, digest: 0 };
  const hash = createHash('sha256');
  for (let repeat = 0; repeat < 9; repeat++) {
    const read = timed(() => readSync(file, bytes, 0, bytes.length, 128 + repeat * bytes.length));
    const values = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
    const rows = { form: 'dense', count: shape.rows, type: 'f16', values } as const;
    const labels = new Int32Array(shape.rows).fill(-1);
    const context = { labels, temperatures: [], sampleId: new Uint8Array(16), position: 0 };
    const targets = sparsifier.sparsify({ ...rows, width: shape.width }, context);
    const kernel = timed(() => sparsifier.sparsify({ ...rows, width: shape.width }, context));
    const encode = timed(() => codec.encode(targets));
    const digest = timed(() => hash.update(bytes));
    if (repeat === 0) continue; // warm-up
    for (const [key, value] of Object.entries({ read, kernel, encode, digest })) {
      found[key as keyof typeof found] += value / 8;
    }
  }
  return found;
}

export async function* buildBudget(log: (text: string) => void): AsyncGenerator<Figure> {
  const { logits, tokens } = await repeatedDump(repeats);
  const cores = availableParallelism();
  const ratios: number[] = [];
  const withDigest: number[] = [];
  let memory = 0;
  let last: Record<string, number> = {};
  for (let round = 0; round < rounds; round++) {
    log(`build: 2 GiB on ${cores} cores, round ${round + 1} of ${rounds}`);
    const floor = floorOf(logits);
    const store = mkdtempSync(join(tmpdir(), 'logitcask-budget-'));
    try {
      const args = ['build', '--logits', logits, '--tokens', tokens, '--store', store, '--json'];
      const built = await measure(process.execPath, [cli, ...args]);
      const { seconds, elapsed } = JSON.parse(built.stdout);
      const allowed = (repeats * (floor.read + floor.kernel + floor.encode)) / cores;
      const digest = repeats * floor.digest;
      ratios.push((elapsed - digest) / allowed);
      withDigest.push(elapsed / allowed);
      memory = Math.max(memory, built.memory);
      last = { ...seconds, digest, elapsed, allowed };
    } finally {
      rmSync(store, { recursive: true });
    }
  }
  for (const [stage, seconds] of Object.entries(last)) {
    yield plain(`build from 2 GiB, K=64, last round: ${stage}`, 's', seconds);
  }
  const name = 'build over what kernel, encoder and reading allow';
  yield atMost(`${name}, digest apart (${spread(ratios)})`, '×', median(ratios), excessMax);
  yield plain(
    `${name}, digest of the input and all (${spread(withDigest)})`,
    '×',
    median(withDigest),
  );
  yield atMost('build from 2 GiB, peak memory', 'MiB', memory / 2 ** 20, limitMiB);
}
