/** What makes text easier to read on a terminal: colour where it is wanted, bars of blocks. */
import { formatTable } from './command.ts';

export interface Paint {
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly doubtful: (text: string) => string;
  readonly bold: (text: string) => string;
  readonly faint: (text: string) => string;
}

/** Without colour every text stays as it is. */
export function createPaint(colour: boolean): Paint {
  const code = (number: number) => (text: string) =>
    colour ? `\u001b[${number}m${text}\u001b[0m` : text;
  return { good: code(32), bad: code(31), doubtful: code(33), bold: code(1), faint: code(2) };
}

const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
export const barWidth = 24;

/** A bar of `share` of the width, to an eighth of a character. */
export function bar(share: number, width = barWidth): string {
  const length = Math.round(Math.min(1, Math.max(0, share)) * width * 8);
  return '█'.repeat(Math.floor(length / 8)) + eighths[length % 8];
}

/** Rows as aligned columns, each with a bar of its share behind it. */
export function barRows(
  rows: readonly { readonly cells: readonly string[]; readonly share: number }[],
): string[] {
  if (rows.length === 0) return [];
  const table = formatTable(
    rows.map(({ cells }) => cells),
    '    ',
  );
  const lines = table.split('\n');
  const width = Math.max(...lines.map((line) => line.length));
  return lines.map((line, i) => `${line.padEnd(width)}  ${bar(rows[i].share)}`.trimEnd());
}

const heights = '▁▂▃▄▅▆▇█';

/** A histogram in one line: a character a bin, a space where a bin is empty. */
export function sparkline(counts: readonly number[]): string {
  const most = Math.max(...counts, 1);
  return counts
    .map((count) => (count === 0 ? ' ' : heights[Math.ceil((count / most) * 8) - 1]))
    .join('');
}

/** What users wrote, for a terminal: no control characters, at most so many characters. */
export function plainText(text: string, lengthMax = Number.POSITIVE_INFINITY): string {
  const signs = [...text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\ufffd')];
  return signs.length <= lengthMax ? signs.join('') : `${signs.slice(0, lengthMax - 1).join('')}…`;
}
