/** Tables that scroll on their own; columns of numbers are aligned, one column may be bars. */
import { type Child, h } from '../element.ts';

export interface Column {
  readonly name: string;
  readonly numeric?: boolean;
}

export interface TableOptions {
  readonly caption: string;
  /** Read out, not seen, where a heading stands above. */
  readonly hiddenCaption?: boolean;
  readonly columns: readonly Column[];
  /** The first cell names its row. */
  readonly rows: readonly (readonly Child[])[];
}

export function table({ caption, hiddenCaption, columns, rows }: TableOptions): HTMLElement {
  const head = columns.map(({ name, numeric }) =>
    h('th', { scope: 'col', class: numeric ? 'number' : null }, name),
  );
  const body = rows.map((cells) =>
    h(
      'tr',
      null,
      cells.map((cell, i) =>
        i === 0
          ? h('th', { scope: 'row' }, cell)
          : h('td', { class: columns[i].numeric ? 'number' : null }, cell),
      ),
    ),
  );
  return h(
    'div',
    { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': caption },
    h(
      'table',
      null,
      h('caption', { class: hiddenCaption ? 'hidden' : null }, caption),
      h('thead', null, h('tr', null, head)),
      h('tbody', null, body),
    ),
  );
}

/** A bar of a share between 0 and 1; its number stands in a cell beside it. */
export function bar(share: number, kind = ''): HTMLElement {
  const element = h('div', { class: `bar ${kind}`, 'aria-hidden': 'true' });
  element.style.setProperty('--share', String(Math.max(0, Math.min(1, share))));
  return element;
}
