/** The examples' students: what soft labels gain over the best hard ones, seed by seed. */
import { join } from 'node:path';
import { type Figure, spread } from './figure.ts';
import { measure } from './process.ts';
import { benchPython, packageFolder } from './venv.ts';

interface Example {
  readonly folder: string;
  readonly figure: string;
  readonly seeds: number;
  /** Points. */
  readonly gainMin: number;
}

const examples: readonly Example[] = [
  {
    folder: 'digits',
    figure: 'digits, 60 labelled images: accuracy over the best hard labels',
    seeds: 10,
    gainMin: 2.5,
  },
  {
    folder: 'detection',
    figure: 'detection: mAP@0.5 over the best hard labels',
    seeds: 6,
    gainMin: 6.8,
  },
];
/** Two-sided 95 % of Student's t, by seeds − 1. */
const t95: Readonly<Record<number, number>> = { 5: 2.57, 9: 2.26 };

/** Minutes of CPU: each seed trains a teacher and students, through build, serve and HTTP. */
export async function* studentFigures(log: (text: string) => void): AsyncGenerator<Figure> {
  const python = benchPython(log);
  process.env.PYTHONPATH = packageFolder;
  for (const example of examples) {
    log(`vision: ${example.folder}, ${example.seeds} seeds`);
    const script = join(packageFolder, '..', 'examples', example.folder, 'run.py');
    const args = [script, '--seeds', String(example.seeds), '--json'];
    yield gainOf(example, (await measure(python, args)).stdout);
  }
}

/** A figure of accuracy, or several of precision of which the first is asked for. */
const first = (found: number | readonly number[]) => [found].flat()[0];

const meanOf = (values: readonly number[]) => {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
};

function gainOf({ figure, gainMin }: Example, lines: string): Figure {
  const found = lines
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const [soft, hard] = ['soft labels', 'hard labels'].map((who) =>
    found.map((seed) => first(seed[who])),
  );
  const gains = soft.map((value, i) => 100 * (value - hard[i]));
  const mean = meanOf(gains);
  const spreadOf = gains.reduce((sum, gain) => sum + (gain - mean) ** 2, 0) / (gains.length - 1);
  const half = t95[gains.length - 1] * Math.sqrt(spreadOf / gains.length);
  return {
    figure: `${figure} (± ${half.toFixed(1)} at 95 %; ${spread(gains)})`,
    unit: 'points',
    value: mean,
    peer: 'hard labels, mean',
    peerValue: 100 * meanOf(hard),
    ratio: null,
    reach: `≥ ${gainMin}, the interval above 0`,
    ok: mean >= gainMin && mean - half > 0,
  };
}
