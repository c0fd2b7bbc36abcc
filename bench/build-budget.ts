/**
 * A build from a dump on all cores, beside what its kernel, its encoder and its disk allow on as
 * many, by clock and in processor seconds of all threads, which stay when the machine is busy.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { atMost, type Figure, median, plain, spread } from './figure.ts';
import { repeatedDump, smallLm } from './inputs.ts';
import { cli, measure } from './process.ts';

const repeats = 256; // 131,072 positions, 2 GiB
const rounds = 3;
const excessMax = 1.25;
const limitMiB = 512;

interface Dump {
  readonly logits: string;
  readonly tokens: string;
}

type Costs = Record<string, number>;

/** What a program needs that does nothing else, as many of them as there are cores. */
async function floorOf({ logits }: Dump, folder: string): Promise<Costs> {
  const cores = availableParallelism();
  const script = new URL('./build-floor.js', import.meta.url).pathname;
  const share = (i: number) => String(Math.round((repeats * i) / cores));
  const runs = await Promise.all(
    Array.from({ length: cores }, (_, i) =>
      measure(process.execPath, [script, logits, share(i), share(i + 1), join(folder, `${i}`)]),
    ),
  );
  const found = runs.map(({ stdout }): Costs => JSON.parse(stdout));
  const { elapsed, ...stages } = found[0];
  const sum = (key: string) => found.reduce((total, own) => total + own[key], 0);
  return {
    ...Object.fromEntries(Object.keys(stages).map((key) => [key, sum(key)])),
    elapsed: Math.max(...found.map((own) => own.elapsed)),
  };
}

/** `reference`: positions of it. */
async function build({ logits, tokens }: Dump, folder: string, reference?: number) {
  const store = join(folder, 'store');
  const config = join(folder, 'config.json');
  const positions = reference === undefined ? {} : { positions: reference };
  writeFileSync(config, JSON.stringify({ reference: positions }));
  const dump = ['--logits', logits, '--tokens', tokens, '--store', store, '--config', config];
  try {
    return await measure(process.execPath, [cli, 'build', ...dump, '--k', '64', '--json']);
  } finally {
    rmSync(store, { recursive: true });
  }
}

async function roundOf(dump: Dump): Promise<{ cpu: Costs; clock: Costs; memory: number }> {
  const folder = mkdtempSync(join(tmpdir(), 'logitcask-budget-'));
  try {
    const { elapsed, digest, ...floor } = await floorOf(dump, folder);
    const whole = await build(dump, folder);
    const without = await build(dump, folder, 0);
    const start = await build(smallLm, folder, 0);
    const reference = whole.cpu - without.cpu;
    const allowed = Object.values(floor).reduce((sum, seconds) => sum + seconds, 0);
    const rest = without.cpu - start.cpu - allowed - digest;
    const cpu = { ...floor, digest, start: start.cpu, reference, rest, allowed, build: whole.cpu };
    const { seconds } = JSON.parse(whole.stdout);
    const clock = { ...seconds, allowed: elapsed, build: whole.seconds };
    return { cpu, clock, memory: whole.memory };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export async function* buildBudget(log: (text: string) => void): AsyncGenerator<Figure> {
  const dump = await repeatedDump(repeats);
  const found: Awaited<ReturnType<typeof roundOf>>[] = [];
  for (let round = 0; round <= rounds; round++) {
    log(`build: 2 GiB on ${availableParallelism()} cores, round ${round} of ${rounds}`);
    const costs = await roundOf(dump);
    if (round > 0) found.push(costs); // the first one brings the dump into memory
  }
  const of = (kind: 'cpu' | 'clock', key: string) => found.map((round) => round[kind][key]);
  for (const [kind, name] of [['cpu', 'processor'] as const, ['clock', 'clock'] as const]) {
    for (const key of Object.keys(found[0][kind])) {
      const values = of(kind, key);
      yield plain(
        `build from 2 GiB, K=64, by ${name}: ${key} (${spread(values)})`,
        's',
        median(values),
      );
    }
  }
  const over = (key: (round: (typeof found)[number]) => number) => found.map(key);
  const strict = over(({ cpu }) => cpu.build / cpu.allowed);
  const named = over(({ cpu }) => cpu.build / (cpu.allowed + cpu.digest));
  const clock = over(({ clock }) => clock.build / clock.allowed);
  const name = 'build over what kernel, encoder and disk allow';
  yield plain(`${name}, by processor (${spread(strict)})`, '×', median(strict));
  const digested = `${name} with the input's digest`;
  yield plain(`${digested}, by clock (${spread(clock)})`, '×', median(clock));
  yield atMost(`${digested}, by processor (${spread(named)})`, '×', median(named), excessMax);
  const memory = Math.max(...found.map((round) => round.memory));
  yield atMost('build from 2 GiB, peak memory', 'MiB', memory / 2 ** 20, limitMiB);
}
