/** `logitcask import`: what others have written, or an exported folder, into a snapshot. */
import { stat } from 'node:fs/promises';
import { Command } from 'commander';
import { resolveConfig } from '../config.ts';
import { importSnapshot } from '../convert.ts';
import { LogitcaskError } from '../errors.ts';
import { type BuildFlags, buildFrom } from './build.ts';
import { listSettings, placeSettings, targetSettings } from './build-settings.ts';
import { type CommandContext, formatCount, withStore } from './command.ts';
import { conversionOf, describeConversion } from './conversion.ts';
import { createProgress } from './progress.ts';
import { addSettings, givenSettings, type Setting } from './settings.ts';

type ImportFlags = BuildFlags & { readonly snapshot?: string; readonly store?: string };

const listsOnly: readonly Setting[] = [
  ...listSettings,
  { flag: '--teacher <name>', path: 'source.teacher', about: 'lists: name of the teacher' },
  { flag: '--licence <text>', path: 'source.licence', about: 'lists: licence of the inputs' },
];
const settings: readonly Setting[] = [...placeSettings, ...listsOnly, ...targetSettings];
/** What a folder can be converted by; its targets are taken as they are. */
const folderSettings = settings.filter(({ path }) =>
  ['store', 'dataset', 'tag', 'format', 'codec.compression'].includes(path),
);

/** Lists are kept as they are: the 64 entries of other sources would cut many. */
const standard = { sparsifier: { type: 'top-k', k: 1024 } };

export function importCommand(context: CommandContext): Command {
  const command = new Command('import')
    .description(
      'Files: reads top lists in JSON lines (may be gzipped) or Parquet as DistillKit, axolotl, ' +
        'NeMo-Aligner and simple exports write them (docs/import.md), checks that each list ' +
        'predicts the next token, and writes a snapshot. Keeps 1,024 entries a position.\n' +
        'A folder that `logitcask export` wrote, or store/dataset of another store: proves ' +
        'every file and converts it without loss.',
    )
    .argument('<paths...>', 'files of one layout, or one folder')
    .option('--snapshot <ref>', 'folder: digest or tag, of a data set (default: latest)')
    .option('--config <file>', 'YAML or JSON; flags override it (docs/config.md)')
    .option('--json', 'one JSON object on standard output')
    .addHelpText(
      'after',
      '\nExample:\n  logitcask import lists.parquet --tokenizer tokenizer.json --store data\n' +
        '  logitcask import mine-parquet --dataset mine --store data',
    )
    .action(async (paths: string[], flags: ImportFlags) => {
      const found = await stat(paths[0]).catch(() => undefined);
      if (found?.isDirectory()) await importFolder(context, paths, flags);
      else await importLists(context, paths, flags);
    });
  return addSettings(command, 'build', settings);
}

function importLists(context: CommandContext, files: string[], flags: ImportFlags): Promise<void> {
  if (flags.snapshot !== undefined) throw misplaced('--snapshot', 'a folder', files[0]);
  const source = [
    { origin: 'import', path: 'source.type', text: 'lists' },
    { origin: 'the files', path: 'source.lists', text: JSON.stringify(files) },
  ];
  const given = [...source, ...givenSettings(settings, flags)];
  return buildFrom(context, { given, standard }, flags);
}

async function importFolder(
  context: CommandContext,
  folders: string[],
  flags: ImportFlags,
): Promise<void> {
  const [folder, second] = folders;
  if (second !== undefined) throw misplaced(second, 'one folder alone', folder);
  const given = givenSettings(settings, flags);
  const own = givenSettings(folderSettings, flags);
  const foreign = given.find(({ path }) => own.every((setting) => setting.path !== path));
  if (foreign !== undefined) throw misplaced(foreign.origin, 'files of top lists', folder);
  const config = resolveConfig('build', await context.configInput(own, flags.config));
  const { dataset, tag, format, codec } = config;
  const compression = codec.type === 'planes' ? codec.compression : 'zstd';
  const progress = createProgress(context, { unit: 'samples', format: formatCount });
  try {
    const written = await withStore(context, flags, (store) =>
      importSnapshot(store, {
        ...conversionOf(context, { format, compression }, progress),
        folder,
        snapshot: flags.snapshot ?? 'latest',
        dataset,
        tag,
      }),
    );
    progress.stop();
    const { reused } = written;
    context.print(describeConversion(written, { place: dataset, json: flags.json, reused }));
  } finally {
    progress.stop();
  }
}

function misplaced(what: string, expected: string, got: string): LogitcaskError {
  const message = `import: ${what} goes with ${expected}, not with ${got}; leave it out`;
  return new LogitcaskError('config-invalid', message, { expected, got });
}
