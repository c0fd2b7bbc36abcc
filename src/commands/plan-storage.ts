/** `logitcask plan-storage`: what each way of storing a teacher's targets would cost and lose. */
import { Command } from 'commander';
import { otherFormats } from '../audit/other-formats.ts';
import { planStorage, samplePositionsMin } from '../build/plan-storage.ts';
import { adviseStorage } from '../build/storage-advice.ts';
import { resolveConfig } from '../config.ts';
import { implied, sourceSettings, temperaturesSetting } from './build-settings.ts';
import { type CommandContext, formatCount, wholeNumber } from './command.ts';
import { newFile } from './new-file.ts';
import { createProgress } from './progress.ts';
import { addSettings, givenSettings } from './settings.ts';
import { storagePicture } from './storage-picture.ts';
import { besideBytes, costOf, describeStorage } from './storage-text.ts';

interface PlanStorageFlags {
  readonly config?: string;
  readonly json?: boolean;
  readonly svg?: string;
  readonly samplePositions: number;
  readonly positions?: number;
  /** Settings, as text. */
  readonly [name: string]: unknown;
}

const settings = [...sourceSettings, temperaturesSetting];

export function planStorageCommand(context: CommandContext): Command {
  const command = new Command('plan-storage')
    .description(
      'Reads the first samples of a source once and measures every sparsifier, step and ' +
        'compression on them: bytes a position, KL or variance, and the cost of the whole data ' +
        'set. Stores nothing.',
    )
    .option('--config <file>', 'YAML or JSON of a build; flags override it (docs/config.md)')
    .option(
      '--sample-positions <n>',
      'positions to measure: whole samples, as many as reach this',
      wholeNumber(samplePositionsMin, 16_384),
      2048,
    )
    .option(
      '--positions <n>',
      'positions of the whole data set (default: those of the source)',
      wholeNumber(1, Number.MAX_SAFE_INTEGER),
    )
    .option('--svg <file>', 'write a picture of it, never over another file')
    .option('--json', 'one JSON object on standard output')
    .addHelpText(
      'after',
      '\nExample:\n  logitcask plan-storage --logits logits.npy --tokens ids.npy --svg storage.svg',
    )
    .action((flags: PlanStorageFlags) => run(context, flags));
  return addSettings(command, 'build', settings);
}

async function run(context: CommandContext, flags: PlanStorageFlags): Promise<void> {
  const given = [...givenSettings(settings, flags), ...implied(flags)];
  const config = resolveConfig('build', await context.configInput(given, flags.config));
  const { samplePositions, positions, svg } = flags;
  const picture =
    svg === undefined ? undefined : await newFile(svg, { verb: 'plan-storage', flag: '--svg' });
  const progress = createProgress(context, { unit: 'positions', format: formatCount });
  try {
    const plan = await planStorage(config, {
      dataFolder: context.dataFolder,
      samplePositions,
      positions,
      onProgress: (done) => progress.update({ done, total: Math.max(done, samplePositions) }),
    });
    progress.stop();
    const advice = adviseStorage(plan);
    await picture?.write(storagePicture(plan));
    if (!flags.json) {
      context.print(describeStorage(plan, advice));
      if (svg !== undefined) context.print(`\nPicture\n  ${svg}`);
      return;
    }
    const cost = (bytes: number) => Math.round(costOf(plan, bytes));
    const choices = plan.choices.map((choice) => ({ ...choice, cost: cost(choice.bytes.zstd) }));
    const others = otherFormats(plan.vocabulary);
    const besideTargets = besideBytes(plan);
    context.print(JSON.stringify({ ...plan, choices, besideTargets, others, advice }));
  } finally {
    progress.stop();
    await picture?.close();
  }
}
