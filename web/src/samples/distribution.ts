/** What is stored at one position, as bars: entries, the rest, and the token that came. */
import { type Child, h } from '../element.ts';
import { count, number, plural } from '../format.ts';
import { bar, table } from '../parts/table.ts';
import type { Position } from './position.ts';
import { quotedText } from './token-text.ts';

const rowsMax = 20;

export interface DistributionOptions {
  readonly position: Position;
  /** The token of the position, as it is read. */
  readonly after: string;
  readonly labelSpace: number;
  /** By id, of `shownIds`; null where the snapshot has no tokenizer. */
  readonly texts: ReadonlyMap<number, string | null> | null;
}

/** Ids whose texts the bars need. */
export function shownIds({ entries, next }: Position): number[] {
  const ids = entries.slice(0, rowsMax).map(({ id }) => id);
  return next === null || ids.includes(next) ? ids : [...ids, next];
}

export function distributionView(options: DistributionOptions): HTMLElement {
  const { position, after, labelSpace } = options;
  const { index, learned, rest, entropy, surprise, entries } = position;
  const stored = `${plural(entries.length, 'entry', 'entries')} of ${count(labelSpace)}`;
  const sum = entries.reduce((total, { p }) => total + p, 0);
  return h(
    'div',
    { class: 'distribution' },
    h('h2', null, `Position ${index}: after `, h('q', null, after)),
    h(
      'p',
      { class: 'muted' },
      rest === null &&
        entries.length > 0 && [
          'Weights drawn without bias: their expectation is the distribution. ',
          `Here they sum to ${number(sum)}. `,
        ],
      `${stored}. `,
      entropy !== null && `Entropy ${number(entropy)} nats. `,
      surprise !== null && `Surprise ${number(surprise)} nats. `,
      !learned && 'Masked: it is not to be learned.',
    ),
    entries.length === 0 ? h('p', null, 'No target is stored here.') : bars(options),
  );
}

function bars({ position, texts }: DistributionOptions): HTMLElement {
  const { entries, rest, next } = position;
  const shown = entries.slice(0, rowsMax);
  const hidden = entries.slice(rowsMax);
  const most = Math.max(shown[0].p, rest ?? 0);
  const text = (id: number) => quotedText(texts?.get(id), id);
  const rows: Child[][] = shown.map(({ id, p }) => [
    h('q', null, text(id)),
    number(p),
    bar(p / most, id === next ? 'label' : ''),
    id === next ? mark() : '',
  ]);
  if (hidden.length > 0) {
    const p = hidden.reduce((sum, entry) => sum + entry.p, 0);
    rows.push([plural(hidden.length, 'more entry', 'more entries'), number(p), bar(p / most), '']);
  }
  if (rest !== null) {
    rows.push(['rest: not stored', number(rest), bar(rest / most, 'rest'), '']);
  }
  if (next !== null && !shown.some(({ id }) => id === next)) rows.push(outside(position, text));
  return table({
    caption: rest === null ? 'Stored weights' : 'Stored distribution',
    columns: [
      { name: 'Token' },
      { name: rest === null ? 'Weight' : 'Probability', numeric: true },
      { name: '' },
      { name: 'Note' },
    ],
    rows,
  });
}

const mark = () => h('strong', { class: 'hard-label' }, '✓ came next');

/** The token that came, where its bar is not among those shown. */
function outside({ entries, next, surprise }: Position, text: (id: number) => string): Child[] {
  const stored = entries.some(({ id }) => id === next);
  const note = stored ? ' (one of those)' : ' (not stored)';
  const p = surprise === null ? '–' : number(Math.exp(-surprise));
  return [[h('q', null, text(next as number)), note], p, '', mark()];
}
