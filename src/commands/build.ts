/** `logitcask build`: a teacher's distributions into a snapshot. */
import { Command } from 'commander';
import { type BuildProgress, type BuildReport, build } from '../build.ts';
import { resolveConfig } from '../config.ts';
import { type CommandContext, formatBytes, formatCount, formatSeconds } from './command.ts';
import { createProgress, type Progress } from './progress.ts';
import { addSettings, givenSettings, type Setting, storeSetting } from './settings.ts';

interface BuildFlags {
  readonly config?: string;
  readonly json?: boolean;
  /** Settings, as text. */
  readonly [name: string]: unknown;
}

export const sourceSettings: readonly Setting[] = [
  { flag: '--source <type>', path: 'source.type', about: 'teacher source: ngram or dump' },
  {
    flag: '--logits <file>',
    path: 'source.logits',
    about: 'dump: .npy of logits [N, V], or .npz of top lists',
  },
  { flag: '--tokens <file>', path: 'source.tokens', about: 'dump: .npy of the N input ids' },
  { flag: '--next <file>', path: 'source.next', about: 'dump: .npy of the N true next ids' },
  { flag: '--samples <n>', path: 'source.samples', about: 'ngram: most samples to score' },
  { flag: '--sample-length <n>', path: 'source.sample_length', about: 'positions of a sample' },
];

export const temperaturesSetting: Setting = {
  flag: '--temperatures <list>',
  path: 'temperatures',
  about: 'store exact normalisers for these too, e.g. 2,4',
};

const settings: readonly Setting[] = [
  storeSetting,
  { flag: '--dataset <name>', path: 'dataset', about: 'name of the data set' },
  { flag: '--tag <name>', path: 'tag', about: 'tag that will point at the snapshot' },
  ...sourceSettings,
  {
    flag: '--sparsifier <name>',
    path: 'sparsifier.type',
    about: 'what is kept: top-k, top-p or threshold (unbiased sampling)',
  },
  { flag: '--k <n>', path: 'sparsifier.k', about: 'top-k: entries kept at a position' },
  { flag: '--p <mass>', path: 'sparsifier.p', about: 'top-p: mass to keep' },
  { flag: '--floor <n>', path: 'sparsifier.floor', about: 'top-p: fewest entries of a position' },
  { flag: '--cap <n>', path: 'sparsifier.cap', about: 'top-p: most entries of a position' },
  {
    flag: '--tau <p>',
    path: 'sparsifier.tau',
    about: 'threshold: the least probability kept for sure',
  },
  { flag: '--codec <name>', path: 'codec.type', about: 'how targets are stored: planes or raw' },
  {
    flag: '--step <step>',
    path: 'codec.step',
    about: 'planes: fine (KL ≤ 1e-4 at K=64), standard (≤ 1e-3) or a number',
  },
  { flag: '--max-kl <nats>', path: 'budget.max_kl', about: 'solve the step for this mean KL' },
  {
    flag: '--bytes-per-position <n>',
    path: 'budget.bytes_per_position',
    about: 'solve the step, or tau, for this size of the targets',
  },
  { flag: '--compression <name>', path: 'codec.compression', about: 'planes: zstd or lz4' },
  temperaturesSetting,
];

export function buildCommand(context: CommandContext): Command {
  const command = new Command('build')
    .summary('score inputs with a teacher and store its targets as a snapshot')
    .description(
      'Runs a teacher over its inputs, keeps the top entries of each distribution and writes a ' +
        'snapshot. Interrupted builds go on where they stopped; a complete one is reused.',
    )
    .option('--config <file>', 'YAML or JSON; flags override it (docs/config.md)')
    .option('--json', 'one JSON object on standard output')
    .addHelpText(
      'after',
      '\nExample:\n  logitcask build --logits logits.npy --tokens ids.npy --store data',
    )
    .action((flags: BuildFlags) => run(context, flags));
  return addSettings(command, 'build', settings);
}

async function run(context: CommandContext, flags: BuildFlags): Promise<void> {
  const given = givenSettings(settings, flags);
  given.push(...implied(flags));
  const config = resolveConfig('build', await context.configInput(given, flags.config));
  const progress = createProgress(context, { unit: 'positions', format: formatCount });
  try {
    const report = await build(config, {
      dataFolder: context.dataFolder,
      onProgress: (event) => progress.update(shownProgress(event)),
      signal: context.stopSignal(),
    });
    progress.stop();
    context.print(flags.json ? JSON.stringify(report) : describeBuild(report));
  } finally {
    progress.stop();
  }
}

/** Settings that only one variant has name it. */
export function implied(flags: Readonly<Record<string, unknown>>) {
  const variants = [
    ['logits', 'source', 'dump'],
    ['p', 'sparsifier', 'top-p'],
    ['tau', 'sparsifier', 'threshold'],
  ] as const;
  return variants
    .filter(([flag, variant]) => flags[flag] !== undefined && flags[variant] === undefined)
    .map(([flag, variant, text]) => ({ origin: `--${flag}`, path: `${variant}.type`, text }));
}

export function shownProgress(event: BuildProgress): Progress {
  const { samples, shards, bytes, positions, positionsTotal } = event;
  return {
    done: positions,
    total: positionsTotal,
    detail: `${formatCount(samples)} samples, ${shards} shards, ${formatBytes(bytes)}`,
  };
}

export function describeBuild(report: BuildReport): string {
  const { manifest, snapshot, reused, resumedSamples, dataset, seconds } = report;
  const spent = Object.values(seconds).reduce((sum, value) => sum + value, 0);
  const how = reused
    ? 'reused: a complete build of the same inputs and settings was there'
    : resumedSamples > 0
      ? `resumed behind ${formatCount(resumedSamples)} samples, in ${formatSeconds(spent)}`
      : `built in ${formatSeconds(spent)}`;
  const { samples, positions, bytes } = manifest.totals;
  const [{ fidelity }] = manifest.target_sets;
  const kl = fidelity?.kl == null ? '' : `, mean KL ${fidelity.kl.mean.toExponential(1)}`;
  const error = fidelity?.squared_error;
  const variance = error == null ? '' : `, variance ${error.mean.toExponential(1)}`;
  return (
    `${dataset}: snapshot ${snapshot}\n  ${how}\n  ${formatCount(samples)} samples, ` +
    `${formatCount(positions)} positions, ${formatBytes(bytes)}${kl}${variance}`
  );
}
