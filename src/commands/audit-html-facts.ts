/** Fidelity and coverage on the page of an audit. */
import type { AuditCoverage, AuditFidelity, Histogram } from '../../schemas/audit.ts';
import { renderBars, renderHistogram } from '../formats/svg-bars.ts';
import { fidelityRows, figure, percent } from './audit-words.ts';
import { formatBytes, formatCount } from './command.ts';
import { figureOf, pairsTable, paragraph, section, table } from './page.ts';

/** Rows of a table. */
const rowsShown = 20;

function histogramFigure(
  histogram: Histogram,
  { what, unit }: { what: string; unit: string },
): string {
  const { edges, counts } = histogram;
  const most = counts.indexOf(Math.max(...counts, 0));
  const all = counts.reduce((sum, count) => sum + count, 0);
  if (all === 0) return paragraph(`${what}: nothing counted.`);
  const [from, to] = [edges[most], edges[most + 1]].map(figure);
  const peak = `most of ${formatCount(all)} between ${from} and ${to}`;
  const title = `Histogram of ${what}: ${peak}`;
  return figureOf(renderHistogram({ title, edges, counts, unit }), `${what}: ${peak}`);
}

export function fidelitySections(all: readonly AuditFidelity[]): string[] {
  return all.map((own) => {
    const { target_set, kind, bias, rest, entropy, mass_by_k } = own;
    const parts = [pairsTable(`Figures of ${target_set} (${kind})`, fidelityRows(own))];
    parts.push(histogramFigure(entropy, { what: 'Entropy of what is stored', unit: 'nats' }));
    if (rest !== null) {
      parts.push(histogramFigure(rest, { what: 'Mass that is not stored (rest)', unit: '' }));
    }
    if (mass_by_k.length > 0) {
      const rows = mass_by_k.map(({ k, mass }) => {
        return { label: `top ${k}`, value: mass, text: percent(mass) };
      });
      const said = rows.map(({ label, text }) => `${label} ${text}`).join(', ');
      const title = `Mean mass of the most probable entries: ${said}`;
      parts.push(figureOf(renderBars({ title, rows }), 'Mean mass of the most probable entries'));
    }
    if (bias !== null) {
      parts.push(
        table({
          caption: 'Σ (weight − p) by probability: honest draws stay within 3 standard errors',
          head: ['p from', 'to', 'Entries', 'Error', 'Standard errors'],
          rows: bias.map(({ p_min, p_max, entries, error, z }) => [
            p_max === 0 ? 'ids beyond the lists' : figure(p_min),
            p_max === 0 ? '' : figure(p_max),
            formatCount(entries),
            figure(error),
            z.toFixed(1),
          ]),
        }),
      );
    }
    return section(`Fidelity of ${target_set}`, parts);
  });
}

export function coverageSection(coverage: AuditCoverage): string {
  const { samples, positions, learned, sources, duplicates, lengths, vocabulary } = coverage;
  const { mask_faults: faults, little } = coverage;
  const share = (part: number) => part / Math.max(1, positions);
  const parts = [
    paragraph(
      `${formatCount(samples)} samples, ${formatCount(positions)} positions, ` +
        `${percent(share(learned))} of them to be learned. ` +
        `${formatCount(vocabulary.used)} of ${formatCount(vocabulary.size)} ids occur.`,
    ),
    paragraph(
      `${formatCount(duplicates.samples)} samples occur more than once ` +
        `(${formatCount(duplicates.positions)} positions). Masks are set at the last position in ` +
        `${formatCount(faults.last)} samples, at one without a target in ` +
        `${formatCount(faults.without_target)}.`,
    ),
    histogramFigure(lengths, { what: 'Lengths of samples', unit: 'positions' }),
    table({
      caption: `Sources: ${formatCount(sources.total)}, most positions first`,
      head: ['Source', 'Samples', 'Positions', 'Share', 'To be learned'],
      rows: sources.rows
        .slice(0, rowsShown)
        .map((row) => [
          row.source,
          formatCount(row.samples),
          formatCount(row.positions),
          percent(share(row.positions)),
          formatCount(row.learned),
        ]),
    }),
  ];
  if (little.length > 0) {
    parts.push(
      table({
        caption: 'Learned positions that carry little',
        head: ['Entropy below, nats', 'Positions', 'Of those learned', 'Bytes without them'],
        rows: little.map((row) => [
          figure(row.entropy_max),
          formatCount(row.positions),
          percent(row.positions / Math.max(1, learned)),
          `−${formatBytes(row.bytes_saved)}`,
        ]),
      }),
    );
  }
  if (vocabulary.most.length > 0) {
    parts.push(
      table({
        caption: 'Tokens that occur most',
        head: ['Id', 'Share'],
        rows: vocabulary.most.map(({ id, share: own }) => [String(id), percent(own)]),
      }),
    );
  }
  return section('Coverage', parts);
}
