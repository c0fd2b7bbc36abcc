/** What is stored at one position, as bars: entries, the rest, and the hard label. */
import { type Child, h } from '../element.ts';
import { count, number, plural } from '../format.ts';
import { bar, table } from '../parts/table.ts';
import type { Position, SetSpace } from './position.ts';
import type { RowView } from './row-view.ts';
import { quotedText } from './token-text.ts';

const rowsMax = 20;

export interface DistributionOptions {
  readonly position: Position;
  readonly view: RowView;
  readonly space: SetSpace;
  /** By id, of `shownIds`; null where none has a text. */
  readonly texts: ReadonlyMap<number, string | null> | null;
}

/** Ids whose texts the bars need. */
export function shownIds({ entries, label }: Position): number[] {
  const ids = entries.slice(0, rowsMax).map(({ id }) => id);
  return label === null || ids.includes(label) ? ids : [...ids, label];
}

export function distributionView(options: DistributionOptions): HTMLElement {
  const { position, view, space } = options;
  const { index, learned, rest, entropy, surprise, entries } = position;
  const stored = `${plural(entries.length, 'entry', 'entries')} of ${count(space.labelSpace)}`;
  const sum = entries.reduce((total, { p }) => total + p, 0);
  return h(
    'div',
    { class: 'distribution' },
    h('h2', null, `Position ${index}`, view.heading(index)),
    h(
      'p',
      { class: 'muted' },
      space.hasScores && 'Scores, each a probability of its own. ',
      rest === null &&
        !space.hasScores &&
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

function bars({ position, view, space, texts }: DistributionOptions): HTMLElement {
  const { entries, rest, label } = position;
  const shown = entries.slice(0, rowsMax);
  const hidden = entries.slice(rowsMax);
  const most = Math.max(shown[0].p, rest ?? 0);
  const text = (id: number) => quotedText(texts?.get(id), id);
  const mark = h('strong', { class: 'hard-label' }, `✓ ${view.label}`);
  const rows: Child[][] = shown.map(({ id, p }) => [
    h('q', null, text(id)),
    number(p),
    bar(p / most, id === label ? 'label' : ''),
    id === label ? mark : '',
  ]);
  if (hidden.length > 0) {
    const p = hidden.reduce((sum, entry) => sum + entry.p, 0);
    rows.push([plural(hidden.length, 'more entry', 'more entries'), number(p), bar(p / most), '']);
  }
  if (rest !== null) {
    rows.push(['rest: not stored', number(rest), bar(rest / most, 'rest'), '']);
  }
  if (label !== null && !shown.some(({ id }) => id === label)) {
    rows.push([...outside(position, text), '', mark]);
  }
  const [caption, value] = rest !== null || space.hasScores ? words.own : words.drawn;
  return table({
    caption,
    columns: [{ name: view.entry }, { name: value, numeric: true }, { name: '' }, { name: 'Note' }],
    rows,
  });
}

const words = {
  own: ['Stored distribution', 'Probability'],
  drawn: ['Stored weights', 'Weight'],
} as const;

/** The hard label and its probability, where its bar is not among those shown. */
function outside({ entries, label, surprise }: Position, text: (id: number) => string): Child[] {
  const stored = entries.some(({ id }) => id === label);
  const note = stored ? ' (one of those)' : ' (not stored)';
  const p = surprise === null ? '–' : number(Math.exp(-surprise));
  return [[h('q', null, text(label as number)), note], p];
}
