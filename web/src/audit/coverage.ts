/** What the snapshot is of: sources, lengths, duplicates, vocabulary. */
import { h } from '../element.ts';
import { bytes, count, number, percent } from '../format.ts';
import { facts } from '../parts/facts.ts';
import { bar, table } from '../parts/table.ts';
import type { AuditReport } from '../types.ts';
import { histogramChart } from './histogram.ts';

type Coverage = AuditReport['coverage'];

export function coveragePart(found: Coverage): HTMLElement {
  const { duplicates, vocabulary, mask_faults: faults } = found;
  const wrong = faults.last + faults.without_target;
  return h(
    'section',
    { 'aria-label': 'Coverage' },
    h('h3', null, 'Coverage'),
    facts([
      ['Samples', count(found.samples)],
      ['Positions', `${count(found.positions)}, ${count(found.learned)} to be learned`],
      [
        'Duplicates',
        `${count(duplicates.samples)} samples, ${count(duplicates.positions)} positions`,
      ],
      ['Vocabulary', `${count(vocabulary.used)} of ${count(vocabulary.size)} ids occur`],
      ['Wrong masks', wrong === 0 ? 'none' : `${count(wrong)} samples`],
    ]),
    h(
      'div',
      { class: 'charts' },
      histogramChart({
        caption: 'Lengths of samples',
        xName: 'positions',
        yName: 'samples',
        histogram: found.lengths,
      }),
    ),
    found.sources.rows.length > 0 && sources(found),
    found.little.length > 0 && little(found),
  );
}

function sources({ sources, positions }: Coverage): HTMLElement {
  const share = (of: number) => (positions === 0 ? 0 : of / positions);
  return table({
    caption: `Positions by source, ${count(sources.rows.length)} of ${count(sources.total)}`,
    columns: [
      { name: 'Source' },
      { name: 'Samples', numeric: true },
      { name: 'Positions', numeric: true },
      { name: 'Share', numeric: true },
      { name: '' },
    ],
    rows: sources.rows.map((row) => [
      row.source,
      count(row.samples),
      count(row.positions),
      percent(share(row.positions)),
      bar(share(row.positions)),
    ]),
  });
}

function little({ little }: Coverage): HTMLElement {
  return table({
    caption: 'Positions that teach little, and what leaving them out saves',
    columns: [
      { name: 'Entropy below, nats' },
      { name: 'Positions', numeric: true },
      { name: 'Saves', numeric: true },
    ],
    rows: little.map(({ entropy_max, positions, bytes_saved }) => [
      number(entropy_max),
      count(positions),
      bytes(bytes_saved),
    ]),
  });
}
