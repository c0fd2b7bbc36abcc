/** Pieces of a page: sections, tables with captions, figures. All text is escaped here. */
import { escaped } from '../formats/markup.ts';

export function section(title: string, parts: readonly string[]): string {
  return ['<section>', `<h2>${escaped(title)}</h2>`, ...parts, '</section>'].join('\n');
}

export const heading = (title: string) => `<h3>${escaped(title)}</h3>`;
export const paragraph = (text: string) => `<p>${escaped(text)}</p>`;

export interface TableOptions {
  readonly caption: string;
  readonly head: readonly string[];
  /** The first cell names its row. */
  readonly rows: readonly (readonly string[])[];
  /** Words rather than numbers: aligned to the left. */
  readonly words?: boolean;
}

export function table({ caption, head, rows, words = false }: TableOptions): string {
  const kind = words ? ' class="words"' : '';
  const titles = head.map((title) => `<th scope="col">${escaped(title)}</th>`).join('');
  const body = rows.map(([first, ...others]) => {
    const cells = others.map((cell) => `<td>${escaped(cell)}</td>`).join('');
    return `<tr><th scope="row">${escaped(first)}</th>${cells}</tr>`;
  });
  return [
    // a wide table scrolls, also by keys
    `<div class="scroll" tabindex="0" role="group" aria-label="${escaped(caption)}">`,
    `<table${kind}>`,
    `<caption>${escaped(caption)}</caption>`,
    `<thead><tr>${titles}</tr></thead>`,
    '<tbody>',
    ...body,
    '</tbody>',
    '</table>',
    '</div>',
  ].join('\n');
}

export function pairsTable(caption: string, rows: readonly (readonly [string, string])[]): string {
  return table({ caption, head: ['Figure', 'Value'], rows, words: true });
}

/** A picture, whose text alternative it holds itself, under a caption. */
export function figureOf(svg: string, caption: string): string {
  return `<figure>\n${svg}\n<figcaption>${escaped(caption)}</figcaption>\n</figure>`;
}
