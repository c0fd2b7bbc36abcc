/** `logitcask build`: a teacher's distributions into a snapshot. */
import { Command } from 'commander';
import { type BuildProgress, type BuildReport, build } from '../build.ts';
import { resolveConfig, type Settings, type TextSetting } from '../config.ts';
import { type CommandContext, formatBytes, formatCount, formatSeconds } from './command.ts';
import { createProgress, type Progress } from './progress.ts';
import { addSettings, givenSettings, type Setting, storeSetting } from './settings.ts';

export interface BuildFlags {
  readonly config?: string;
  readonly json?: boolean;
  /** Settings, as text. */
  readonly [name: string]: unknown;
}

/** Where the snapshot goes. */
export const placeSettings: readonly Setting[] = [
  storeSetting,
  { flag: '--dataset <name>', path: 'dataset', about: 'name of the data set' },
  { flag: '--tag <name>', path: 'tag', about: 'tag that will point at the snapshot' },
];

/** What list files do not say of themselves. */
export const listSettings: readonly Setting[] = [
  { flag: '--layout <name>', path: 'source.layout', about: 'lists: their keys (docs/import.md)' },
  {
    flag: '--aligned <how>',
    path: 'source.aligned',
    about: 'lists: logits (list t predicts token t + 1) or tokens (its own token)',
  },
  { flag: '--vocabulary <n>', path: 'source.vocabulary', about: 'lists: size of the vocabulary' },
  { flag: '--tokenizer <file>', path: 'source.tokenizer', about: 'tokenizer.json of the teacher' },
];

/** How targets are kept. */
export const targetSettings: readonly Setting[] = [
  { flag: '--k <n>', path: 'sparsifier.k', about: 'entries kept at a position' },
  { flag: '--codec <name>', path: 'codec.type', about: 'how targets are stored: planes or raw' },
  {
    flag: '--step <step>',
    path: 'codec.step',
    about: 'planes: fine (KL ≤ 1e-4 at K=64), standard (≤ 1e-3) or a number',
  },
  { flag: '--max-kl <nats>', path: 'codec.max_kl', about: 'planes: solve the step for this KL' },
  { flag: '--compression <name>', path: 'codec.compression', about: 'planes: zstd or lz4' },
];

const settings: readonly Setting[] = [
  ...placeSettings,
  { flag: '--source <type>', path: 'source.type', about: 'teacher source: ngram, dump or lists' },
  {
    flag: '--logits <file>',
    path: 'source.logits',
    about: 'dump: .npy of logits [N, V], or .npz of top lists',
  },
  { flag: '--tokens <file>', path: 'source.tokens', about: 'dump: .npy of the N input ids' },
  { flag: '--next <file>', path: 'source.next', about: 'dump: .npy of the N true next ids' },
  {
    flag: '--lists <files>',
    path: 'source.lists',
    about: 'lists: files of top lists, JSON lines or Parquet, commas between',
  },
  ...listSettings,
  { flag: '--samples <n>', path: 'source.samples', about: 'ngram: most samples to score' },
  { flag: '--sample-length <n>', path: 'source.sample_length', about: 'positions of a sample' },
  ...targetSettings,
  {
    flag: '--temperatures <list>',
    path: 'temperatures',
    about: 'store exact normalisers for these too, e.g. 2,4',
  },
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
  for (const [flag, type] of [
    ['logits', 'dump'],
    ['lists', 'lists'],
  ]) {
    if (flags[flag] === undefined || flags.source !== undefined) continue;
    given.push({ origin: `--${flag}`, path: 'source.type', text: type });
  }
  await buildFrom(context, { given }, flags);
}

/** Builds what the settings say and reports it; a file's own settings replace `standard` ones. */
export async function buildFrom(
  context: CommandContext,
  { given, standard = {} }: { given: readonly TextSetting[]; standard?: Settings },
  flags: BuildFlags,
): Promise<void> {
  const input = await context.configInput(given, flags.config);
  const settings = { ...standard, ...input.file?.settings };
  const file = { name: input.file?.name ?? 'the defaults', settings };
  const config = resolveConfig('build', { ...input, file });
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
  return (
    `${dataset}: snapshot ${snapshot}\n  ${how}\n  ${formatCount(samples)} samples, ` +
    `${formatCount(positions)} positions, ${formatBytes(bytes)}${kl}`
  );
}
