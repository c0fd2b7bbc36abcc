/** `logitcask build`: a teacher's distributions into a snapshot. */
import { Command, Option } from 'commander';
import { buildConfig } from '../../schemas/build-config.ts';
import { keysOf } from '../../schemas/keys.ts';
import { type BuildReport, build } from '../build.ts';
import { resolveConfig, type Settings } from '../config.ts';
import { type CommandContext, formatCount, formatSeconds } from './command.ts';
import { createProgress } from './progress.ts';

interface BuildFlags {
  config?: string;
  json?: boolean;
  store?: string;
  dataset?: string;
  tag?: string;
  source?: 'ngram' | 'dump';
  logits?: string;
  tokens?: string;
  next?: string;
  text?: string;
  tokenizer?: string;
  teacher?: string;
  samples?: number;
  sampleLength?: number;
  k?: number;
  codec?: 'planes' | 'raw';
  step?: string | number;
  maxKl?: number;
  compression?: 'zstd' | 'lz4';
  temperatures?: number[];
}

export function buildCommand(context: CommandContext): Command {
  return new Command('build')
    .summary('score inputs with a teacher and store its targets as a snapshot')
    .description(
      'Runs a teacher over its inputs, keeps the top entries of each distribution and writes a\n' +
        'snapshot. Interrupted builds go on where they stopped; a complete one is reused.',
    )
    .option('--config <file>', 'YAML or JSON; flags override it (docs/config.md)')
    .option('--store <folder>', 'folder of the store (default: logitcask-data)')
    .option('--dataset <name>', 'name of the data set (default: default)')
    .option('--tag <name>', 'tag that will point at the snapshot (default: latest)')
    .addOption(new Option('--source <type>', 'teacher source').choices(['ngram', 'dump']))
    .option('--logits <file>', 'dump: .npy of logits [N, V], or .npz of top lists')
    .option('--tokens <file>', 'dump: .npy of the N input ids')
    .option('--next <file>', 'dump: .npy of the N true next ids')
    .option('--teacher <name>', 'dump: name of the teacher')
    .option('--text <file>', 'ngram: text, documents separated by blank lines')
    .option('--tokenizer <file>', 'tokenizer.json of the teacher')
    .option('--samples <n>', 'ngram: score at most this many samples', Number)
    .option('--sample-length <n>', 'positions of a sample (default: 512)', Number)
    .option('--k <n>', 'entries kept at a position (default: 64)', Number)
    .addOption(new Option('--codec <name>', 'how targets are stored').choices(['planes', 'raw']))
    .option(
      '--step <preset>',
      'planes: fine (KL ≤ 1e-4 at K=64), standard (≤ 1e-3) or a number',
      numeric,
    )
    .option('--max-kl <nats>', 'planes: solve the step for this mean KL', Number)
    .addOption(new Option('--compression <name>', 'planes').choices(['zstd', 'lz4']))
    .option('--temperatures <list>', 'store log Z for these, e.g. 2,4', numbers)
    .option('--json', 'one JSON object on standard output')
    .addHelpText(
      'after',
      '\nExample:\n  logitcask build --source dump --logits logits.npy --tokens ids.npy --store data',
    )
    .action((flags: BuildFlags) => run(context, flags));
}

const numeric = (text: string) => (Number.isNaN(Number(text)) ? text : Number(text));
const numbers = (text: string) => text.split(',').map(Number);

/** Flags in the shape of the configuration; only what was given. */
function settingsOf(flags: BuildFlags): Settings {
  const { store, dataset, tag, temperatures } = flags;
  const source = given({
    type: flags.source ?? (flags.logits === undefined ? undefined : 'dump'),
    logits: flags.logits,
    tokens: flags.tokens,
    next: flags.next,
    teacher: flags.teacher,
    text: flags.text,
    tokenizer: flags.tokenizer,
    samples: flags.samples,
    sample_length: flags.sampleLength,
  });
  const planesOnly = flags.step ?? flags.maxKl ?? flags.compression;
  const codec = given({
    type: flags.codec ?? (planesOnly === undefined ? undefined : 'planes'),
    step: flags.step,
    max_kl: flags.maxKl,
    compression: flags.compression,
  });
  const sparsifier = flags.k === undefined ? undefined : { type: 'top-k', k: flags.k };
  return given({ store, dataset, tag, temperatures, source, sparsifier, codec }) ?? {};
}

function given(settings: Settings): Settings | undefined {
  const entries = Object.entries(settings).filter(([, value]) => value !== undefined);
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

async function run(context: CommandContext, flags: BuildFlags): Promise<void> {
  const input = await context.configInput(settingsOf(flags), flags.config);
  const config = resolveConfig(buildConfig, keysOf(buildConfig), withSourceType(input));
  const progress = createProgress(context);
  try {
    const report = await build(config, {
      dataFolder: context.dataFolder,
      onProgress: progress.update,
      signal: context.signal,
    });
    progress.stop();
    context.print(flags.json ? JSON.stringify(report) : describeBuild(report));
  } finally {
    progress.stop();
  }
}

/** `--samples` without a source means the embedded teacher. */
function withSourceType(input: Parameters<typeof resolveConfig>[2]) {
  const type = { source: { type: 'ngram' } };
  const named = [input.file?.settings, input.flags].some(
    (settings) => (settings?.source as Settings | undefined)?.type !== undefined,
  );
  if (named || input.environment?.LOGITCASK_SOURCE__TYPE !== undefined) return input;
  const source = { ...(input.flags?.source as Settings | undefined), ...type.source };
  return { ...input, flags: { ...input.flags, source } };
}

export function describeBuild(report: BuildReport): string {
  const { manifest, snapshot, reused, resumedSamples, dataset, seconds } = report;
  const spent = Object.values(seconds).reduce((sum, value) => sum + value, 0);
  const how = reused
    ? 'reused: a complete build of the same inputs and settings was there'
    : resumedSamples > 0
      ? `resumed behind ${formatCount(resumedSamples)} samples, in ${formatSeconds(spent)}`
      : `built in ${formatSeconds(spent)}`;
  const { samples, positions } = manifest.totals;
  const [{ fidelity }] = manifest.target_sets;
  const kl = fidelity?.kl == null ? '' : `, mean KL ${fidelity.kl.mean.toExponential(1)}`;
  return (
    `${dataset}: snapshot ${snapshot}\n  ${how}\n` +
    `  ${formatCount(samples)} samples, ${formatCount(positions)} positions${kl}`
  );
}
