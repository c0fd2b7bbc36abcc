/** What every verb works with: where it prints, how it reads configuration, how it is told to stop. */
import type { ConfigInput, Settings } from '../config.ts';

export interface CommandContext {
  /** Results: text for people, or with --json one object a line. */
  print(text: string): void;
  /** Progress and notes, never results. */
  note(text: string): void;
  readonly isTerminal: boolean;
  /** Folder of the embedded teacher's text and tokenizer. */
  readonly dataFolder: string;
  /** Environment and file (`--config`) beside the flags. */
  configInput(flags: Settings, file: string | undefined): Promise<ConfigInput>;
  /** Aborted by SIGINT or SIGTERM. */
  readonly signal: AbortSignal;
  /** Exit code of a verb that ended without an error. */
  exitCode: number;
}

/** Bytes with three significant digits: `79.6 B`, `1.2 MB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value.toFixed(bytes < 10 ? 2 : 1).replace(/\.0+$/, '') : value.toPrecision(3)} ${units[unit]}`;
}

export function formatCount(count: number): string {
  return Math.round(count).toLocaleString('en');
}

export function formatSeconds(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
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
