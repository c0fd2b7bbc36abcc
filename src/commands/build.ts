/** `logitcask build`: a teacher's distributions into a snapshot. */
import { setFlagsFromString } from 'node:v8';
import { Command } from 'commander';
import { type BuildProgress, type BuildReport, build } from '../build.ts';
import { resolveConfig, type Settings, type TextSetting } from '../config.ts';
import { buildSettings, implied } from './build-settings.ts';
import { type CommandContext, formatBytes, formatCount, formatSeconds } from './command.ts';
import { createProgress, type Progress } from './progress.ts';
import { addSettings, givenSettings } from './settings.ts';

export interface BuildFlags {
  readonly config?: string;
  readonly json?: boolean;
  /** Settings, as text. */
  readonly [name: string]: unknown;
}

export function buildCommand(context: CommandContext): Command {
  const command = new Command('build')
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
  return addSettings(command, 'build', buildSettings);
}

async function run(context: CommandContext, flags: BuildFlags): Promise<void> {
  await buildFrom(context, { given: givenSettings(buildSettings, flags) }, flags);
}

/**
 * What a build leaves behind are buffers, for every 30 MB of which V8 would walk over all of the
 * heap in steps: a tenth of the work. Without the steps it waits for several times as much.
 */
const wholeMarking = '--no-incremental-marking';

/** Builds what the settings say and reports it; a file's own settings replace `standard` ones. */
export async function buildFrom(
  context: CommandContext,
  { given, standard = {} }: { given: readonly TextSetting[]; standard?: Settings },
  flags: BuildFlags,
): Promise<void> {
  setFlagsFromString(wholeMarking);
  const input = await context.configInput([...given, ...implied(flags)], flags.config);
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
  const { samples, shards, bytes, positions, positionsTotal, isEstimate } = event;
  return {
    done: positions,
    total: positionsTotal,
    isEstimate,
    detail: `${formatCount(samples)} samples, ${shards} shards, ${formatBytes(bytes)}`,
  };
}

export function describeBuild(report: BuildReport): string {
  const { manifest, snapshot, reused, resumedSamples, dataset, elapsed } = report;
  const how = reused
    ? 'reused: a complete build of the same inputs and settings was there'
    : resumedSamples > 0
      ? `resumed behind ${formatCount(resumedSamples)} samples, in ${formatSeconds(elapsed)}`
      : `built in ${formatSeconds(elapsed)}`;
  const { samples, positions, bytes } = manifest.totals;
  const fidelity = manifest.target_sets.at(0)?.fidelity;
  const kl = fidelity?.kl == null ? '' : `, mean KL ${fidelity.kl.mean.toExponential(1)}`;
  const error = fidelity?.squared_error;
  const variance = error == null ? '' : `, variance ${error.mean.toExponential(1)}`;
  const slow =
    report.kernel === 'wasm'
      ? ''
      : '\n  no SIMD in this WebAssembly: the kernel ran in plain TypeScript, many times slower';
  return (
    `${dataset}: snapshot ${snapshot}\n  ${how}\n  ${formatCount(samples)} samples, ` +
    `${formatCount(positions)} positions, ${formatBytes(bytes)}${kl}${variance}${slow}`
  );
}
