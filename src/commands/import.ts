/** `logitcask import`: top lists that others have written into a snapshot. */
import { Command } from 'commander';
import {
  type BuildFlags,
  buildFrom,
  listSettings,
  placeSettings,
  targetSettings,
} from './build.ts';
import type { CommandContext } from './command.ts';
import { addSettings, givenSettings, type Setting } from './settings.ts';

const settings: readonly Setting[] = [
  ...placeSettings,
  ...listSettings,
  { flag: '--teacher <name>', path: 'source.teacher', about: 'name of the teacher' },
  { flag: '--licence <text>', path: 'source.licence', about: 'licence of the inputs' },
  ...targetSettings,
];

/** Lists are kept as they are: the 64 entries of other sources would cut many. */
const standard = { sparsifier: { type: 'top-k', k: 1024 } };

export function importCommand(context: CommandContext): Command {
  const command = new Command('import')
    .summary('store top lists that others have written, their alignment checked')
    .description(
      'Reads top lists in JSON lines (may be gzipped) or Parquet as DistillKit, axolotl, ' +
        'NeMo-Aligner and simple exports write them (docs/import.md), checks that each list ' +
        'predicts the next token, and writes a snapshot. Keeps 1,024 entries a position.',
    )
    .argument('<files...>', 'files of one layout')
    .option('--config <file>', 'YAML or JSON; flags override it (docs/config.md)')
    .option('--json', 'one JSON object on standard output')
    .addHelpText(
      'after',
      '\nExample:\n  logitcask import lists.parquet --tokenizer tokenizer.json --store data',
    )
    .action((files: string[], flags: BuildFlags) => {
      const source = [
        { origin: 'import', path: 'source.type', text: 'lists' },
        { origin: 'the files', path: 'source.lists', text: JSON.stringify(files) },
      ];
      const given = [...source, ...givenSettings(settings, flags)];
      return buildFrom(context, { given, standard }, flags);
    });
  return addSettings(command, 'build', settings);
}
