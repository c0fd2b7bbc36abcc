/** A build from a dump on all cores, beside what its kernel, its encoder and its disk allow. */
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { atMost, type Figure, median, plain, spread } from './figure.ts';
import { repeatedDump } from './inputs.ts';
import { cli, measure } from './process.ts';

const repeats = 256; // 131,072 positions, 2 GiB
const rounds = 3;
const excessMax = 1.25;
const limitMiB = 512;

/** Seconds for 512 rows while all cores do the same: two of them may share one unit. */
async function floorOf(logits: string, cores: number): Promise<Record<string, number>> {
  const script = new URL('./build-floor.js', import.meta.url).pathname;
  const runs = await Promise.all(
    Array.from({ length: cores }, () => measure(process.execPath, [script, logits])),
  );
  const found = runs.map(({ stdout }): Record<string, number> => JSON.parse(stdout));
  const mean = (key: string) => found.reduce((sum, one) => sum + one[key] / cores, 0);
  return Object.fromEntries(Object.keys(found[0]).map((key) => [key, mean(key)]));
}

export async function* buildBudget(log: (text: string) => void): AsyncGenerator<Figure> {
  const { logits, tokens } = await repeatedDump(repeats);
  const cores = availableParallelism();
  const ratios: number[] = [];
  const whole: number[] = [];
  let memory = 0;
  let last: Record<string, number> = {};
  for (let round = 0; round < rounds; round++) {
    log(`build: 2 GiB on ${cores} cores, round ${round + 1} of ${rounds}`);
    const floor = await floorOf(logits, cores);
    const store = mkdtempSync(join(tmpdir(), 'logitcask-budget-'));
    try {
      const args = [
        'build',
        '--logits',
        logits,
        '--tokens',
        tokens,
        '--store',
        store,
        '--k',
        '64',
        '--json',
      ];
      const built = await measure(process.execPath, [cli, ...args]);
      const { seconds, elapsed } = JSON.parse(built.stdout);
      const allowed = (repeats * (floor.read + floor.kernel + floor.encode)) / cores;
      // the input's digest, and what does not grow with it: the start and the reference
      ratios.push((elapsed - seconds.prepare - seconds.finish) / allowed);
      whole.push(elapsed / allowed);
      memory = Math.max(memory, built.memory);
      last = { ...seconds, elapsed, allowed };
    } finally {
      rmSync(store, { recursive: true });
    }
  }
  for (const [stage, seconds] of Object.entries(last)) {
    yield plain(`build from 2 GiB, K=64, last round: ${stage}`, 's', seconds);
  }
  const name = 'build over what kernel, encoder and reading allow';
  yield atMost(
    `${name}, prepare and finish apart (${spread(ratios)})`,
    '×',
    median(ratios),
    excessMax,
  );
  yield plain(`${name}, the input's digest and all (${spread(whole)})`, '×', median(whole));
  yield atMost('build from 2 GiB, peak memory', 'MiB', memory / 2 ** 20, limitMiB);
}
