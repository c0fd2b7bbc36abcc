/** `logitcask import`: an exported folder, or another store's data set, into the store. */
import { Command } from 'commander';
import { resolveConfig } from '../config.ts';
import { importSnapshot } from '../convert.ts';
import { type CommandContext, formatCount, withStore } from './command.ts';
import {
  addConversion,
  type ConversionFlags,
  conversionOf,
  describeConversion,
} from './conversion.ts';
import { createProgress } from './progress.ts';
import { addSettings, givenSettings, type Setting, storeSetting } from './settings.ts';

interface ImportFlags extends ConversionFlags {
  readonly snapshot: string;
  readonly dataset?: string;
  readonly tag?: string;
  readonly store?: string;
  readonly json?: boolean;
}

const settings: readonly Setting[] = [
  { flag: '--dataset <name>', path: 'dataset', about: 'name of the data set' },
  { flag: '--tag <name>', path: 'tag', about: 'tag that will point at the snapshot' },
];

export function importCommand(context: CommandContext): Command {
  const command = new Command('import')
    .summary('take an exported folder, or a data set of another store, into the store')
    .description(
      'Proves every file, converts every shard without loss and writes a snapshot. For lists ' +
        'and logits that other programs wrote, use `logitcask build`.',
    )
    .argument('<folder>', 'folder with manifest.json, or store/dataset')
    .option('--snapshot <ref>', 'digest or tag, of a data set', 'latest')
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', '\nExample:\n  logitcask import mine-parquet --dataset mine --store data')
    .action((folder: string, flags: ImportFlags) => run(context, { folder, ...flags }));
  addSettings(addConversion(command, 'arrow'), 'store', [storeSetting]);
  return addSettings(command, 'build', settings);
}

async function run(
  context: CommandContext,
  flags: ImportFlags & { folder: string },
): Promise<void> {
  const { folder, snapshot, json } = flags;
  const input = await context.configInput(givenSettings(settings, { ...flags }));
  const { dataset, tag } = resolveConfig('build', input);
  const progress = createProgress(context, { unit: 'samples', format: formatCount });
  try {
    const written = await withStore(context, flags, (store) =>
      importSnapshot(store, {
        ...conversionOf(context, flags, progress),
        folder,
        snapshot,
        dataset,
        tag,
      }),
    );
    progress.stop();
    const { reused } = written;
    context.print(describeConversion(written, { place: dataset, json, reused }));
  } finally {
    progress.stop();
  }
}
