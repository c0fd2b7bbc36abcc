/** Size, integrity and alignment on the page of an audit. */
import type { AuditIntegrity, AuditReport, AuditSize } from '../../schemas/audit.ts';
import { renderBars } from '../formats/svg-bars.ts';
import {
  bestText,
  frontOf,
  imagesSizeText,
  imagesText,
  logProb,
  lossText,
  moneyText,
  noAlignmentText,
  percent,
  perPosition,
  ratio,
  savedText,
} from './audit-words.ts';
import { formatBytes, formatCount } from './command.ts';
import { figureOf, heading, paragraph, section, table } from './page.ts';

/** Rows of a table. */
const rowsShown = 20;

export function sizeSection(size: AuditSize): string {
  const { bytes, positions, bytes_per_position, target_bytes_per_position: targets } = size;
  return section('Size', [
    paragraph(
      `${formatBytes(bytes)} for ${formatCount(positions)} positions: ` +
        `${perPosition(bytes_per_position)} a position, targets ${perPosition(targets)}.`,
    ),
    ...(size.images === null ? [] : [paragraph(`${imagesSizeText(size.images)}.`)]),
    ...costParts(size),
    columnsFigure(size),
    othersFigure(size),
    ...savingsParts(size),
    filesTable(size),
  ]);
}

function costParts({ cost }: AuditSize): string[] {
  if (cost === null) return [];
  const { currency, per_month, per_epoch, storage_per_gb_month, egress_per_gb } = cost;
  return [
    paragraph(
      `Kept: ${moneyText(per_month, currency)} a month at ${storage_per_gb_month} a GB. ` +
        `Sent to one trainer: ${moneyText(per_epoch, currency)} an epoch at ${egress_per_gb} a GB.`,
    ),
  ];
}

function columnsFigure({ columns, bytes, positions }: AuditSize): string {
  const rows = columns.map((column) => {
    const each = perPosition(column.bytes / Math.max(1, positions));
    const text = `${each} (${percent(column.bytes / Math.max(1, bytes))})`;
    return { label: column.name, value: column.bytes, text };
  });
  const said = rows.map(({ label, text }) => `${label} ${text}`).join(', ');
  const title = `Bytes a position of each column: ${said}`;
  return figureOf(renderBars({ title, rows }), 'Columns: bytes a position, share of all bytes');
}

function othersFigure({ others, target_bytes_per_position: own }: AuditSize): string {
  const all = [{ name: 'stored targets', bytes_per_position: own }, ...others];
  const said = all.map((row) => `${row.name} ${perPosition(row.bytes_per_position)}`).join(', ');
  // whole distributions are so long that no other bar could be seen beside them
  const shown = all.filter((row) => row.bytes_per_position < 100 * Math.max(1, own));
  const rows = shown.map((row) => ({
    label: row.name,
    value: row.bytes_per_position,
    text: perPosition(row.bytes_per_position),
  }));
  const title = `Bytes a position, here and elsewhere: ${said}`;
  const left = all
    .filter((row) => !shown.includes(row))
    .map(
      (row) =>
        `${row.name} ${perPosition(row.bytes_per_position)}, ` +
        `${own > 0 ? ratio(row.bytes_per_position / own) : ''} as much, not drawn`,
    );
  const caption = ['The same positions elsewhere, by arithmetic', ...left].join('; ');
  return figureOf(renderBars({ title, rows }), caption);
}

function savingsParts(size: AuditSize): string[] {
  const { savings } = size;
  const sets = [...new Set(savings.rows.map(({ target_set }) => target_set))];
  return sets.flatMap((set) => {
    const front = frontOf(size, set);
    const rows = front.map((row) => ({
      label: row.flags,
      value: row.bytes_per_position,
      text: `${perPosition(row.bytes_per_position)}, ${lossText(row)}`,
    }));
    const said = rows.map(({ label, text }) => `${label} ${text}`).join('; ');
    const title = `Other ways to store ${set}: ${said}`;
    const measured = `measured on ${formatCount(savings.sampled_positions)} positions`;
    const all = savings.rows.filter(({ target_set }) => target_set === set);
    return [
      heading(`${set} stored otherwise`),
      ...(rows.length === 0
        ? [paragraph('No other way that was measured takes less.')]
        : [
            figureOf(
              renderBars({ title, rows }),
              `Ways that nothing smaller loses as little as; ${measured}`,
            ),
          ]),
      table({
        caption: `All ways that were ${measured}, beside what is stored`,
        head: ['Flags of build', 'Bytes a position', 'Whole data set', 'Loss'],
        rows: all.map((row) => [
          row.flags,
          perPosition(row.bytes_per_position),
          savedText(row.bytes_saved),
          lossText(row),
        ]),
      }),
    ];
  });
}

function filesTable({ roles, files }: AuditSize): string {
  const byRole = table({
    caption: 'Files by role',
    head: ['Role', 'Files', 'Bytes'],
    rows: roles.map(({ role, files: count, bytes }) => [
      role,
      formatCount(count),
      formatBytes(bytes),
    ]),
  });
  const largest = table({
    caption: `The largest of ${formatCount(files.total)} files`,
    head: ['File', 'Role', 'Bytes', 'Positions'],
    rows: files.rows
      .slice(0, rowsShown)
      .map(({ name, role, bytes, positions }) => [
        name,
        role,
        formatBytes(bytes),
        formatCount(positions),
      ]),
  });
  return `${byRole}\n${largest}`;
}

export function integritySection(integrity: AuditIntegrity): string {
  const { files, files_checked, bytes_checked, problems, orphans, quarantined, images } = integrity;
  const parts = [
    paragraph(
      `${formatCount(files_checked)} of ${formatCount(files)} files, ` +
        `${formatBytes(bytes_checked)} read: ` +
        (problems.total === 0
          ? 'everything is as it was written.'
          : `${formatCount(problems.total)} problems.`),
    ),
  ];
  if (problems.rows.length > 0) {
    parts.push(
      table({
        caption: `Damage: ${formatCount(problems.total)} problems`,
        head: ['File', 'Code', 'What'],
        rows: problems.rows.map(({ file, code, message }) => [file, code, message]),
        words: true,
      }),
    );
  }
  if (images !== null) parts.push(paragraph(`Images: ${imagesText(images)}.`));
  if (quarantined.total > 0) {
    const rest = quarantined.total - quarantined.rows.length;
    const more = rest > 0 ? ` and ${formatCount(rest)} more` : '';
    const named = `${quarantined.rows.join(', ')}${more}`;
    parts.push(paragraph(`Quarantined, so that servers refuse them: ${named}.`));
  }
  if (orphans.rows.length > 0) {
    parts.push(
      table({
        caption: `Files that no snapshot and no running build names: ${formatCount(orphans.total)}`,
        head: ['Path', 'Bytes'],
        rows: orphans.rows.slice(0, rowsShown).map(({ path, bytes }) => [path, formatBytes(bytes)]),
      }),
    );
  }
  return section('Integrity', parts);
}

export function alignmentSection(report: Pick<AuditReport, 'alignment' | 'fidelity'>): string {
  const { alignment } = report;
  const parts = alignment.flatMap((own) => {
    const at = (name: string, value: number) => ({
      label: `shift ${name}`,
      value: Math.max(0, -value),
      text: `${(-value).toFixed(2)} nats`,
    });
    const rows = [at('−1', own.before), at('0', own.at), at('+1', own.after)];
    const said = rows.map(({ label, text }) => `${label} ${text}`).join(', ');
    const title = `Surprise at the tokens around each position of ${own.target_set}: ${said}`;
    const positions = `${formatCount(own.positions)} positions`;
    const caption = `${own.target_set}: ${bestText(own)} (${positions}; the shortest is the best)`;
    const shiftRow = (name: string, row: Omit<(typeof own.shards.rows)[number], 'name'>) => [
      name,
      formatCount(row.positions),
      ...[row.before, row.at, row.after].map(logProb),
    ];
    const head = (first: string) => [first, 'Positions', 'At −1', 'At 0', 'At +1'];
    return [
      figureOf(renderBars({ title, rows }), caption),
      table({
        caption: `${own.target_set}: log-prob of the token by source, of ${own.sources.total}`,
        head: head('Source'),
        rows: own.sources.rows.slice(0, rowsShown).map((row) => shiftRow(row.source, row)),
      }),
      table({
        caption: `${own.target_set}: by shard, the nearest to being shifted of ${own.shards.total}`,
        head: head('Shard'),
        rows: own.shards.rows.slice(0, rowsShown).map((row) => shiftRow(row.name, row)),
      }),
    ];
  });
  if (parts.length === 0) parts.push(paragraph(`Not told: ${noAlignmentText(report)}.`));
  return section('Alignment', parts);
}
