/** An audit report as one page: no script, nothing from elsewhere, dark and light, and paper. */
import type { Finding } from '../../schemas/audit.ts';
import { escaped } from '../formats/markup.ts';
import { barStyle } from '../formats/svg-bars.ts';
import { coverageSection, fidelitySections } from './audit-html-facts.ts';
import { alignmentSection, integritySection, sizeSection } from './audit-html-parts.ts';
import {
  type Audited,
  detailsText,
  driftName,
  driftRows,
  figure,
  percent,
  verdictOf,
  verdictText,
} from './audit-words.ts';
import { formatCount } from './command.ts';
import { pairsTable, section, table } from './page.ts';

const style = `
  :root { color-scheme: light dark; --ink: #1f2328; --paper: #ffffff; --faint: #59636e;
    --rule: #d1d9e0; --bar: #4477aa; --good: #1a7f37; --bad: #cf222e; --doubtful: #9a6700; }
  @media (prefers-color-scheme: dark) { :root { --ink: #f0f6fc; --paper: #0d1117;
    --faint: #9198a1; --rule: #3d444d; --bar: #6ea8dc; --good: #3fb950; --bad: #f85149;
    --doubtful: #d29922; } }
  body { margin: 0 auto; max-width: 60rem; padding: 1.5rem; color: var(--ink);
    background: var(--paper); font: 16px/1.5 system-ui, sans-serif; }
  h1 { font-size: 1.6rem; margin: 0; } h2 { margin: 2.2rem 0 0.6rem; font-size: 1.25rem; }
  h3 { margin: 1.4rem 0 0.4rem; font-size: 1.05rem; }
  p { margin: 0.4rem 0; } .faint { color: var(--faint); } code { overflow-wrap: anywhere; }
  .verdict { border-left: 0.4rem solid; padding: 0.5rem 1rem; font-size: 1.15rem; }
  .good { color: var(--good); } .bad { color: var(--bad); } .doubtful { color: var(--doubtful); }
  .scroll { overflow-x: auto; }
  table { border-collapse: collapse; margin: 0.6rem 0; font-variant-numeric: tabular-nums; }
  caption { text-align: left; color: var(--faint); padding: 0.2rem 0; white-space: nowrap; }
  th, td { text-align: right; padding: 0.2rem 0.8rem 0.2rem 0; border-bottom: 1px solid var(--rule);
    vertical-align: top; }
  th:first-child, td:first-child, .words td, .words th { text-align: left; }
  th { font-weight: 600; } tbody th { font-weight: 400; overflow-wrap: anywhere; }
  figure { margin: 0.8rem 0; } figcaption { color: var(--faint); }
  ${barStyle}
  @media print { :root { --ink: #000000; --paper: #ffffff; --faint: #444444; --rule: #bbbbbb;
    --bar: #555555; --good: #000000; --bad: #000000; --doubtful: #000000; }
    body { max-width: none; padding: 0; font-size: 11pt; } h2, h3 { break-after: avoid; }
    figure, tr { break-inside: avoid; } .scroll { overflow: visible; } }
`;

/** The whole document, well-formed as XML too. */
export function renderAudit({ report, drift }: Audited): string {
  const title = `Audit of ${report.dataset}`;
  const verdict = verdictOf(report);
  const policy = "default-src 'none'; style-src 'unsafe-inline'";
  return [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8"/>',
    '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
    `<meta http-equiv="Content-Security-Policy" content="${escaped(policy)}"/>`,
    `<title>${escaped(title)}</title>`,
    `<style>${style}</style>`,
    '</head>',
    '<body>',
    '<main>',
    `<h1>${escaped(title)}</h1>`,
    `<p class="faint">Snapshot <code>${escaped(report.snapshot)}</code>, ` +
      `${new Date(report.updated_ms).toISOString()}</p>`,
    `<p class="verdict ${verdict}"><strong>${escaped(verdictText(report))}</strong></p>`,
    findingsSection(report.findings),
    sizeSection(report.size),
    integritySection(report.integrity),
    alignmentSection(report),
    ...fidelitySections(report.fidelity),
    coverageSection(report.coverage),
    ...(drift === undefined ? [] : [driftSection(drift)]),
    '</main>',
    '</body>',
    '</html>\n',
  ].join('\n');
}

function findingsSection(findings: readonly Finding[]): string {
  if (findings.length === 0) return section('Findings', ['<p>None.</p>']);
  const rows = findings.map((finding) => [
    finding.severity,
    finding.code,
    finding.target_set === null ? finding.section : `${finding.section}, ${finding.target_set}`,
    finding.message,
    detailsText(finding),
  ]);
  const head = ['Severity', 'Code', 'Section', 'What', 'Details'];
  const caption = 'What the audit will not bless, faults first';
  return section('Findings', [table({ caption, head, rows, words: true })]);
}

function driftSection(drift: NonNullable<Audited['drift']>): string {
  const { sources, positions_most: most } = drift;
  const parts = [pairsTable('What changed from one target set to the other', driftRows(drift))];
  if (sources.rows.length > 0) {
    parts.push(
      table({
        caption: `By source: ${formatCount(sources.total)} of them`,
        head: ['Source', 'Positions', 'KL, nats', 'Same top entry'],
        rows: sources.rows.map((row) => [
          row.source,
          formatCount(row.positions),
          figure(row.kl),
          percent(row.top1),
        ]),
      }),
    );
  }
  if (most.length > 0) {
    parts.push(
      table({
        caption: 'Positions with the largest KL',
        head: ['Sample', 'Position', 'KL, nats'],
        rows: most.map((row) => [row.sample_id, formatCount(row.position), figure(row.kl)]),
      }),
    );
  }
  return section(`Drift from ${driftName(drift.before)}`, parts);
}
