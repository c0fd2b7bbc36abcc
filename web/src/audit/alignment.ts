/** The log-prob of the actual token at three shifts: position t must be of token t + 1. */
import { h } from '../element.ts';
import { count, number } from '../format.ts';
import { badge } from '../parts/badge.ts';
import { chart } from '../parts/chart.ts';
import { bar, table } from '../parts/table.ts';
import type { AuditReport } from '../types.ts';

type Alignment = AuditReport['alignment'][number];

const shiftColumns = [
  { name: 'Positions', numeric: true },
  { name: 'Shift −1', numeric: true },
  { name: 'Shift 0', numeric: true },
  { name: 'Shift +1', numeric: true },
];

export function alignmentPart(found: Alignment): HTMLElement {
  return h(
    'section',
    { 'aria-label': `Alignment of ${found.target_set}` },
    h('h3', null, 'Alignment of ', h('code', null, found.target_set), ' ', verdict(found.best)),
    shifts(found),
    found.shards.rows.length > 1 && byShard(found),
    found.sources.rows.length > 0 && bySource(found),
  );
}

function verdict(best: Alignment['best']): HTMLElement {
  if (best === null) return badge('neutral', 'nothing to tell by');
  if (best === 0) return badge('good', 'best at shift 0');
  return badge('fault', `best at shift ${best < 0 ? '−1' : '+1'}`);
}

/** Bars of the probability, which fits between 0 and 1 where log-probs do not. */
function shifts({ before, at, after, positions }: Alignment): HTMLElement {
  const rows = [
    ['−1', before, 'the token that came before'],
    ['0', at, 'the token that came next'],
    ['+1', after, 'the token after the next'],
  ] as const;
  return table({
    caption: `Mean log-prob at three shifts, ${count(positions)} positions`,
    columns: [
      { name: 'Shift' },
      { name: 'Of' },
      { name: 'Log-prob, nats', numeric: true },
      { name: 'as probability', numeric: true },
      { name: '' },
    ],
    rows: rows.map(([shift, value, of]) => [
      shift,
      of,
      number(value),
      number(Math.exp(value)),
      bar(Math.exp(value)),
    ]),
  });
}

function byShard({ shards }: Alignment): HTMLElement {
  const { rows, total } = shards;
  return chart({
    caption: `Alignment by shard: the ${count(rows.length)} of ${count(total)} that lead by least`,
    kind: 'line',
    xName: 'shard, least lead first',
    labels: rows.map((_, i) => String(i + 1)),
    series: [
      { name: 'shift 0', values: rows.map(({ at }) => at) },
      { name: 'shift −1', values: rows.map(({ before }) => before) },
      { name: 'shift +1', values: rows.map(({ after }) => after) },
    ],
  });
}

function bySource({ sources }: Alignment): HTMLElement {
  return table({
    caption: `Alignment by source, ${count(sources.rows.length)} of ${count(sources.total)}`,
    columns: [{ name: 'Source' }, ...shiftColumns],
    rows: sources.rows.map(({ source, positions, before, at, after }) => [
      source,
      count(positions),
      number(before),
      number(at),
      number(after),
    ]),
  });
}
