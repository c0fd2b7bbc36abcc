/** `logitcask export`: a snapshot into a folder of Parquet or Arrow files. */
import { Command } from 'commander';
import { exportSnapshot } from '../convert.ts';
import { type CommandContext, formatCount, withStore } from './command.ts';
import {
  addConversion,
  type ConversionFlags,
  conversionOf,
  describeConversion,
} from './conversion.ts';
import { createProgress } from './progress.ts';
import { addSettings, storeSetting } from './settings.ts';

interface ExportFlags extends ConversionFlags {
  readonly out: string;
  readonly store?: string;
  readonly json?: boolean;
}

export function exportCommand(context: CommandContext): Command {
  const command = new Command('export')
    .description(
      'Converts every shard without loss and writes manifest.json last. Parquet files are read ' +
        'by DuckDB, pyarrow, pandas and Spark; `logitcask import` takes the folder back.',
    )
    .argument('<dataset>', 'name of the data set')
    .argument('[snapshot]', 'digest or tag', 'latest')
    .requiredOption('--out <folder>', 'folder that holds no snapshot yet')
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', '\nExample:\n  logitcask export mine --out mine-parquet --store data')
    .action((dataset: string, snapshot: string, flags: ExportFlags) =>
      run(context, { dataset, snapshot, ...flags }),
    );
  return addSettings(addConversion(command, 'parquet'), 'store', [storeSetting]);
}

async function run(
  context: CommandContext,
  flags: ExportFlags & { dataset: string; snapshot: string },
): Promise<void> {
  const { dataset, snapshot, out, json } = flags;
  const progress = createProgress(context, { unit: 'samples', format: formatCount });
  try {
    const written = await withStore(context, flags, (store) =>
      exportSnapshot(store, {
        ...conversionOf(context, flags, progress),
        dataset,
        snapshot,
        folder: out,
      }),
    );
    progress.stop();
    context.print(describeConversion(written, { place: out, json }));
  } finally {
    progress.stop();
  }
}
