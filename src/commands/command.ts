/** What every verb works with: where it prints, what configures it, how it is told to stop. */
import { InvalidArgumentError } from 'commander';
import { type ConfigInput, resolveConfig, type TextSetting } from '../config.ts';
import type { Store } from '../store/store.ts';
import { openStore } from '../store/table.ts';
import { givenSettings, storeSetting } from './settings.ts';

export interface CommandContext {
  /** Results: text for people, or with --json one object a line. */
  print(text: string): void;
  /** Progress and notes, never results. */
  note(text: string): void;
  /** Whether notes go to a terminal. */
  readonly isTerminal: boolean;
  /** Whether results may have colour: a terminal, and `NO_COLOR` is not set. */
  readonly colour?: boolean;
  /** Folder of the embedded teacher's text and tokenizer. */
  readonly dataFolder: string;
  /** Environment and file (`--config`) beside the flags. */
  configInput(flags: readonly TextSetting[], file?: string): Promise<ConfigInput>;
  /** Bearer token for servers (`LOGITCASK_TOKEN`): a flag would show it to every process. */
  readonly token?: string;
  /** Aborted by SIGINT or SIGTERM. A verb that does not ask for it ends at once on either. */
  stopSignal(): AbortSignal;
  /** Exit code of a verb that ended without an error. */
  exitCode: number;
}

/** Opens the store that flags or environment name, for as long as `use` takes. */
export async function withStore<T>(
  context: CommandContext,
  flags: { readonly store?: string },
  use: (store: Store) => Promise<T>,
): Promise<T> {
  const given = givenSettings([storeSetting], flags);
  const config = resolveConfig('store', await context.configInput(given));
  const store = await openStore(config.store);
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}

/** A whole number, for flags that are no settings. */
export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`give a whole number from ${least} to ${most}`);
  };
}

/** Bytes with three significant digits: `79.6 B`, `1.2 MB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes;
  let unit = 0;
  // 999.5 and more would round to 1.00e+3
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  const whole = unit === 0 && Number.isInteger(value);
  return `${whole ? value : value.toPrecision(3)} ${units[unit]}`;
}

/** `1,234,567`; the system's own tables of languages would take a tenth of a verb's start. */
export function formatCount(count: number): string {
  return Math.round(count)
    .toFixed(0)
    .replaceAll(/\B(?=(\d{3})+$)/g, ',');
}

export function formatSeconds(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** Rows as aligned columns; the first left, the others right. */
export function formatTable(rows: readonly (readonly string[])[], indent = '  '): string {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  return rows
    .map((row) => {
      const cells = row.map((cell, i) =>
        i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]),
      );
      return `${indent}${cells.join('  ').trimEnd()}`;
    })
    .join('\n');
}
