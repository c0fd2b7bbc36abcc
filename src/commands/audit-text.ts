/** An audit report for a terminal: sections in the order of the report, findings, the verdict. */
import type { AuditFidelity, AuditReport, Finding } from '../../schemas/audit.ts';
import { describeSizeSection } from './audit-text-size.ts';
import {
  type Audited,
  bestText,
  detailsText,
  driftRows,
  fidelityRows,
  figure,
  imagesText,
  logProb,
  noAlignmentText,
  percent,
  verdictOf,
  verdictText,
} from './audit-words.ts';
import { formatBytes, formatCount } from './command.ts';
import { barRows, type Paint, plainText, sparkline } from './paint.ts';

/** Rows of a list that the text shows; --json has more. */
const rowsShown = 5;
const problemsShown = 10;
const nameLengthMax = 32;

export function describeAudit({ report, drift }: Audited, paint: Paint): string {
  const verdict = verdictOf(report);
  const title = `${report.dataset}: audit of snapshot ${report.snapshot}`;
  return [
    paint.bold(title),
    describeSizeSection(report.size, paint),
    describeIntegrity(report, paint),
    describeAlignment(report, paint),
    ...report.fidelity.map((own) => describeFidelity(own, paint)),
    describeCoverage(report, paint),
    ...(drift === undefined ? [] : [`${paint.bold('Drift')}\n${formatPairs(driftRows(drift))}`]),
    describeFindings(report.findings, paint),
    `${paint.bold('Verdict')}: ${paint[verdict](verdictText(report))}`,
  ].join('\n\n');
}

const formatPairs = (rows: readonly (readonly [string, string])[]) => {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`).join('\n');
};

function describeIntegrity({ integrity }: AuditReport, paint: Paint): string {
  const { files, files_checked, bytes_checked, problems, orphans, quarantined, images } = integrity;
  const state = problems.total === 0 ? paint.good('as written') : paint.bad('damaged');
  const lines = [
    paint.bold('Integrity'),
    `  ${formatCount(files_checked)} of ${formatCount(files)} files, ` +
      `${formatBytes(bytes_checked)} read: ${state}`,
    ...problems.rows
      .slice(0, problemsShown)
      .map(({ code, file, message }) =>
        paint.bad(`  ${plainText(file)}: ${plainText(message)} (${code})`),
      ),
  ];
  const more = problems.total - Math.min(problems.rows.length, problemsShown);
  if (more > 0) lines.push(`  and ${formatCount(more)} more problems`);
  if (images !== null) lines.push(`  images: ${imagesText(images)}`);
  if (quarantined.total > 0) {
    const named = quarantined.rows.slice(0, problemsShown).join(', ');
    const rest = quarantined.total - Math.min(quarantined.rows.length, problemsShown);
    lines.push(`  quarantined: ${named}${rest > 0 ? ` and ${rest} more` : ''}`);
  }
  if (orphans.total > 0) {
    const bytes = formatBytes(orphans.rows.reduce((sum, orphan) => sum + orphan.bytes, 0));
    const least = orphans.total > orphans.rows.length ? 'at least ' : '';
    lines.push(`  ${formatCount(orphans.total)} files belong to no snapshot, ${least}${bytes}`);
  }
  return lines.join('\n');
}

function describeAlignment(report: AuditReport, paint: Paint): string {
  const { alignment } = report;
  if (alignment.length === 0) return `${paint.bold('Alignment')}\n  ${noAlignmentText(report)}`;
  const lines = alignment.flatMap((own) => {
    const { before, at, after } = own;
    const values = [before, at, after].map(logProb).join(' / ');
    const best = own.best === 0 ? paint.good(bestText(own)) : paint.bad(bestText(own));
    const told = own.best === null ? paint.faint(bestText(own)) : best;
    // the ones that are nearest to being misaligned come first
    const doubtful = [
      ...own.sources.rows.map((row) => ({ name: row.source, ...row })),
      ...own.shards.rows,
    ].filter((row) => row.positions > 0 && row.at <= Math.max(row.before, row.after));
    return [
      `  ${own.target_set}: log-prob of the token ${values} at shifts −1 / 0 / +1, ${told} ` +
        `(${formatCount(own.positions)} positions)`,
      ...doubtful.slice(0, rowsShown).map(({ name, ...row }) => {
        const shifts = [row.before, row.at, row.after].map(logProb);
        return paint.bad(`    ${plainText(name, nameLengthMax)}: ${shifts.join(' / ')}`);
      }),
    ];
  });
  return [paint.bold('Alignment'), ...lines].join('\n');
}

function describeFidelity(fidelity: AuditFidelity, paint: Paint): string {
  const { target_set, kind, rest, entropy, mass_by_k, bias } = fidelity;
  const line = ({ edges, counts }: AuditFidelity['entropy'], unit: string) =>
    `${figure(edges[0] ?? 0)} ${sparkline(counts)} ${figure(edges.at(-1) ?? 0)}${unit}`;
  const pairs: [string, string][] = [...fidelityRows(fidelity)];
  pairs.push(['entropy', line(entropy, ' nats')]);
  if (rest !== null) pairs.push(['rest', line(rest, '')]);
  for (const { p_min, p_max, entries, z } of bias ?? []) {
    const isBeyond = p_max === 0;
    const band = isBeyond ? 'ids beyond the lists' : `p ${figure(p_min)} to ${figure(p_max)}`;
    pairs.push([band, `${z.toFixed(1)} standard errors off (${formatCount(entries)} entries)`]);
  }
  const masses = mass_by_k.map(({ k, mass }) => {
    return { cells: [`top ${k}`, percent(mass)], share: mass };
  });
  return [
    `${paint.bold(`Fidelity of ${target_set}`)} (${kind})`,
    formatPairs(pairs),
    ...barRows(masses),
  ].join('\n');
}

function describeCoverage({ coverage }: AuditReport, paint: Paint): string {
  const { samples, positions, learned, sources, duplicates, lengths, vocabulary } = coverage;
  const share = (part: number) => part / Math.max(1, positions);
  const lines = [
    paint.bold('Coverage'),
    `  ${formatCount(samples)} samples, ${formatCount(positions)} positions, ` +
      `${percent(share(learned))} to be learned`,
    `  lengths ${figure(lengths.edges[0] ?? 0)} ${sparkline(lengths.counts)} ` +
      `${figure(lengths.edges.at(-1) ?? 0)}`,
    `  ${formatCount(vocabulary.used)} of ${formatCount(vocabulary.size)} ids occur`,
  ];
  const shown = sources.rows.slice(0, rowsShown);
  const rows = shown.map((row) => ({
    cells: [
      plainText(row.source, nameLengthMax),
      formatCount(row.positions),
      percent(share(row.positions)),
    ],
    share: share(row.positions),
  }));
  lines.push(...barRows(rows));
  if (sources.total > shown.length) {
    lines.push(`    and ${formatCount(sources.total - shown.length)} more sources`);
  }
  if (duplicates.samples > 0) {
    lines.push(
      `  ${formatCount(duplicates.samples)} samples occur more than once, ` +
        `${formatCount(duplicates.positions)} positions too many`,
    );
  }
  for (const { entropy_max, positions: few, bytes_saved } of coverage.little) {
    lines.push(
      `  ${percent(few / Math.max(1, learned))} of the learned positions have less than ` +
        `${figure(entropy_max)} nats; without them ${formatBytes(bytes_saved)} less`,
    );
  }
  return lines.join('\n');
}

function describeFindings(findings: readonly Finding[], paint: Paint): string {
  if (findings.length === 0) return `${paint.bold('Findings')}\n  none`;
  const lines = findings.flatMap((finding) => {
    const { code, severity, section, target_set, message } = finding;
    const tone = severity === 'fault' ? paint.bad : paint.doubtful;
    const place = target_set === null ? section : `${section} of ${target_set}`;
    const details = plainText(detailsText(finding));
    const head = `  ${tone(severity.toUpperCase())} ${plainText(message)} (${code}, ${place})`;
    return details === '' ? [head] : [head, paint.faint(`    ${details}`)];
  });
  return [paint.bold('Findings'), ...lines].join('\n');
}
