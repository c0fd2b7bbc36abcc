/** Flags that stand for settings of a configuration: declared as a table, checked where all are. */
import { type Command, Option } from 'commander';
import { type ConfigDocument, defaultsOf, type TextSetting } from '../config.ts';

export interface Setting {
  /** As commander reads it: `--k <n>`, or without a value for what is true or false. */
  readonly flag: string;
  /** `sparsifier.k` */
  readonly path: string;
  readonly about: string;
}

export const storeSetting: Setting = {
  flag: '--store <folder>',
  path: 'store',
  about: 'folder of the store',
};

/** Adds the flags; help shows the defaults that the configuration has. */
export function addSettings(
  command: Command,
  document: ConfigDocument,
  settings: readonly Setting[],
): Command {
  const standards = defaultsOf(document);
  for (const { flag, path, about } of settings) {
    const standard = standards(path);
    const shown = standard ? `${about} (default: ${standard})` : about;
    command.addOption(new Option(flag, shown));
  }
  return command;
}

/** The flags that were given. */
export function givenSettings(
  settings: readonly Setting[],
  values: Readonly<Record<string, unknown>>,
): TextSetting[] {
  return settings.flatMap(({ flag, path }) => {
    const option = new Option(flag);
    const value = values[option.attributeName()];
    const text = value === true ? 'true' : value; // a flag without a value
    return typeof text === 'string' ? [{ origin: option.long ?? flag, path, text }] : [];
  });
}
