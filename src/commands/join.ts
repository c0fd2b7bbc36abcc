/** `logitcask join`: the target sets of several data sets, side by side in one. */
import { Command } from 'commander';
import { joinSnapshots } from '../convert.ts';
import { type CommandContext, formatCount, withStore } from './command.ts';
import {
  addConversion,
  type ConversionFlags,
  conversionOf,
  describeConversion,
} from './conversion.ts';
import { createProgress } from './progress.ts';
import { addSettings, storeSetting } from './settings.ts';

interface JoinFlags extends ConversionFlags {
  readonly into: string;
  readonly tag: string;
  readonly store?: string;
  readonly json?: boolean;
}

export function joinCommand(context: CommandContext): Command {
  const command = new Command('join')
    .description(
      'Writes a snapshot with the samples of the first data set and the target sets of all, ' +
        'matched by sample id. A sample that another one lacks has no targets in its set.',
    )
    .argument('<datasets...>', 'two or more; their newest snapshots are taken')
    .requiredOption('--into <dataset>', 'data set to write')
    .option('--tag <name>', 'tag that will point at the snapshot', 'latest')
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', '\nExample:\n  logitcask join live live-second --into both --store data')
    .action((datasets: string[], flags: JoinFlags) => run(context, datasets, flags));
  return addSettings(addConversion(command, 'arrow'), 'store', [storeSetting]);
}

async function run(context: CommandContext, datasets: string[], flags: JoinFlags): Promise<void> {
  const { into, tag, json } = flags;
  const progress = createProgress(context, { unit: 'samples', format: formatCount });
  try {
    const written = await withStore(context, flags, (store) =>
      joinSnapshots(store, {
        ...conversionOf(context, flags, progress),
        datasets,
        snapshot: 'latest',
        dataset: into,
        tag,
      }),
    );
    progress.stop();
    const { reused } = written;
    context.print(describeConversion(written, { place: into, json, reused }));
  } finally {
    progress.stop();
  }
}
