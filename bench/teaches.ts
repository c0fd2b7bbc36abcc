/** Do the targets teach? Held-out perplexity of a tiny student, through build → serve → client. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildConfig } from '../schemas/build-config.ts';
import { measureSize } from '../src/audit/size.ts';
import { build } from '../src/build.ts';
import { openStore } from '../src/store/table.ts';
import { type Benchmark, type Figure, median, plain, spread } from './figure.ts';
import { cli, listen, measure } from './process.ts';
import { teacherModel, trainWindows, windowLength, writeWindows } from './teaches-inputs.ts';
import { benchPython, packageFolder, scripts } from './venv.ts';

const seeds = [0, 1, 2];
/** One thread each. */
const studentsAtATime = 2;
const vocabulary = 8192;

interface Targets {
  readonly name: string;
  readonly loss: 'hard' | 'renormalised' | 'bucket' | 'unbiased' | 'whole';
  /** What is built; hard and whole pull the tokens of any data set. */
  readonly sparsifier?:
    | { readonly type: 'top-k'; readonly k: number }
    | { readonly type: 'threshold'; readonly tau: number };
  /** Goal: perplexity over the whole vocabulary's, at this many entries at most. */
  readonly reach?: { readonly ratio: number; readonly entries: number };
}

const whole: Targets = { name: 'whole vocabulary', loss: 'whole' };

const table: readonly Targets[] = [
  whole,
  { name: 'hard labels', loss: 'hard' },
  { name: 'top-8 renormalised', loss: 'renormalised', sparsifier: { type: 'top-k', k: 8 } },
  { name: 'top-32 + tail bucket', loss: 'bucket', sparsifier: { type: 'top-k', k: 32 } },
  threshold(0.1, { ratio: 1.13, entries: 9 }),
  threshold(0.05, { ratio: 1.07, entries: 16 }),
  threshold(0.02, { ratio: 1.04, entries: 34 }),
];

function threshold(tau: number, reach: Targets['reach']): Targets {
  const sparsifier = { type: 'threshold', tau } as const;
  return { name: `threshold τ = ${tau}`, loss: 'unbiased', sparsifier, reach };
}

interface Stored {
  readonly dataset: string;
  readonly entries: number;
  readonly bytes: number;
  readonly variance: number | undefined;
}

interface Run {
  readonly log: (text: string) => void;
  readonly folder: string;
  readonly python: string;
}

interface Teacher {
  readonly train: string;
  readonly test: string;
  readonly logits: string;
  readonly perplexity: number;
  /** Of 50 random draws a position with counts. */
  readonly entries: number;
  readonly error: number;
}

export const teaches: Benchmark = {
  name: 'teaches',
  summary: `a tiny student's held-out perplexity by what is stored of a small LM; medians of ${
    seeds.length
  } seeds, ${trainWindows * windowLength} positions`,
  async *run(log) {
    let python: string;
    try {
      python = benchPython(log);
    } catch (error) {
      const reason = (error as Error).message.split('\n')[0];
      const figure = `perplexity of a student: torch cannot be installed (${reason})`;
      yield { ...plain(figure, 'perplexity', 0), value: null };
      return;
    }
    process.env.PYTHONPATH = packageFolder;
    const folder = mkdtempSync(join(tmpdir(), 'logitcask-teaches-'));
    try {
      yield* teach({ log, folder, python });
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
};

async function* teach(run: Run): AsyncGenerator<Figure> {
  const teacher = await runTeacher(run);
  const stored = new Map<Targets, Stored>();
  for (const targets of table) {
    if (targets.sparsifier === undefined) continue;
    run.log(`building ${targets.name}`);
    stored.set(targets, await buildTargets(run.folder, targets, teacher));
  }
  const perplexities = await runStudents(run, teacher, stored);
  yield plain('the teacher itself', 'perplexity', teacher.perplexity);
  const peer = perplexities.get(whole) ?? [];
  for (const targets of table) {
    yield figureOf(targets, { found: perplexities.get(targets) ?? [], peer, stored });
  }
  for (const [{ name }, { variance }] of stored) {
    if (variance !== undefined) yield plain(`variance, ${name}`, 'Σ (weight − p)²', variance);
  }
  const bytes = 3 * teacher.entries;
  const draws = `50 random draws with counts, ${cost(teacher.entries, bytes)} at 24 bits an entry`;
  yield plain(`variance, ${draws}`, 'Σ (weight − p)²', teacher.error);
}

async function runTeacher({ log, folder, python }: Run): Promise<Teacher> {
  log('tokenising');
  const { train, test } = writeWindows(folder);
  const logits = join(folder, 'logits.npy');
  log("the teacher's whole logits");
  const script = join(scripts, 'teaches', 'teacher.py');
  const { stdout } = await measure(python, [script, teacherModel, train, test, logits]);
  return { train, test, logits, ...JSON.parse(stdout) };
}

async function buildTargets(
  folder: string,
  { sparsifier }: Targets,
  { logits, train }: Teacher,
): Promise<Stored> {
  const dataset = Object.values(sparsifier ?? {}).join('-');
  const config = buildConfig.parse({
    store: join(folder, 'store'),
    dataset,
    source: { type: 'dump', logits, tokens: train, sample_length: windowLength },
    sparsifier,
  });
  const { manifest, snapshot } = await build(config, { dataFolder: 'data' });
  const store = await openStore(config.store);
  const size = await measureSize(store, { dataset, snapshot });
  await store.close();
  const [{ entries, fidelity }] = manifest.target_sets;
  return {
    dataset,
    entries: entries / manifest.totals.positions,
    bytes: size.targets,
    variance: fidelity?.squared_error?.mean,
  };
}

/** Perplexities by seed. Every student streams its batches from one server. */
async function runStudents(
  { log, folder, python }: Run,
  { test, logits }: Teacher,
  stored: ReadonlyMap<Targets, Stored>,
): Promise<Map<Targets, number[]>> {
  const found = new Map<Targets, number[]>(table.map((targets) => [targets, []]));
  const jobs = seeds.flatMap((seed) => table.map((targets) => ({ seed, targets })));
  const [{ dataset: any }] = stored.values();
  const store = join(folder, 'store');
  const server = await listen(process.execPath, [cli, 'serve', '--store', store, '--port', '0']);
  const work = async () => {
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
      const { seed, targets } = job;
      const dataset = stored.get(targets)?.dataset ?? any;
      const script = join(scripts, 'teaches', 'student.py');
      const args = [script, server.url, dataset, targets.loss, String(seed), test, logits];
      const { stdout, seconds } = await measure(python, args);
      const { perplexity } = JSON.parse(stdout);
      found.get(targets)?.push(perplexity);
      log(`${targets.name}, seed ${seed}: ${perplexity.toFixed(1)} in ${seconds.toFixed(0)} s`);
    }
  };
  try {
    await Promise.all(Array.from({ length: studentsAtATime }, work));
  } finally {
    await server.stop();
  }
  return found;
}

function cost(entries: number, bytes: number): string {
  return `${entries.toFixed(1)} entries, ${bytes.toFixed(1)} B/position`;
}

function figureOf(
  targets: Targets,
  beside: { found: number[]; peer: number[]; stored: ReadonlyMap<Targets, Stored> },
): Figure {
  const { found, peer, stored } = beside;
  const built = stored.get(targets);
  const size =
    built !== undefined
      ? cost(built.entries, built.bytes)
      : targets === whole
        ? cost(vocabulary, 4 * vocabulary)
        : 'nothing stored';
  const [value, peerValue] = [median(found), median(peer)];
  const { reach } = targets;
  return {
    ...plain(`${targets.name}, ${size} (${spread(found)})`, 'perplexity', value),
    ...(targets === whole ? {} : { peer: whole.name, peerValue, ratio: peerValue / value }),
    reach: reach ? `≤ ${reach.ratio} × the whole's, at ≤ ${reach.entries} entries` : null,
    ok: reach
      ? value <= reach.ratio * peerValue && (built?.entries ?? Infinity) <= reach.entries
      : null,
  };
}
