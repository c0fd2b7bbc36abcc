/** The size section of an audit for a terminal. */
import type { AuditSize } from '../../schemas/audit.ts';
import {
  frontOf,
  imagesSizeText,
  lossText,
  moneyText,
  percent,
  perPosition,
  ratio,
} from './audit-words.ts';
import { formatBytes, formatCount, formatTable } from './command.ts';
import { barRows, type Paint } from './paint.ts';

/** Savings of a target set that the text shows; --json has all that were measured. */
const savingsShown = 6;

export function describeSizeSection(size: AuditSize, paint: Paint): string {
  const { bytes, positions, bytes_per_position, target_bytes_per_position } = size;
  const head =
    `  ${formatBytes(bytes)}, ${formatCount(positions)} positions: ` +
    `${perPosition(bytes_per_position)} a position, ` +
    `targets ${perPosition(target_bytes_per_position)}`;
  return [
    paint.bold('Size'),
    head,
    ...(size.images === null ? [] : [`  ${imagesSizeText(size.images)}`]),
    ...describeColumns(size),
    ...describeOthers(size),
    ...describeSavings(size),
    ...describeCost(size),
  ].join('\n');
}

function describeColumns({ columns, roles, bytes, positions }: AuditSize): string[] {
  const other = bytes - columns.reduce((sum, column) => sum + column.bytes, 0);
  const shards = roles.find(({ role }) => role === 'shard')?.bytes ?? 0;
  const beside = roles.filter(({ role }) => role !== 'shard');
  const left = other - beside.reduce((sum, role) => sum + role.bytes, 0);
  const parts = [
    ...columns,
    ...(shards > 0 && left > 0 ? [{ name: 'directories of shards', bytes: left }] : []),
    ...beside.map((role) => ({ name: `${role.role} files`, bytes: role.bytes })),
  ];
  const rows = parts.map((part) => ({
    cells: [
      part.name,
      perPosition(part.bytes / Math.max(1, positions)),
      percent(part.bytes / Math.max(1, bytes)),
    ],
    share: part.bytes / Math.max(1, bytes),
  }));
  return barRows(rows);
}

function describeOthers({ others, target_bytes_per_position: own }: AuditSize): string[] {
  const rows = others.map(({ name, bytes_per_position }) => [
    name,
    perPosition(bytes_per_position),
    own > 0 ? ratio(bytes_per_position / own) : '–',
  ]);
  if (rows.length === 0) return [];
  return ['  the same positions elsewhere, by arithmetic', formatTable(rows, '    ')];
}

function describeSavings(size: AuditSize): string[] {
  const { savings } = size;
  const sets = [...new Set(savings.rows.map(({ target_set }) => target_set))];
  return sets.flatMap((set) => {
    // the most bytes first: from what loses least to what saves most
    const front = frontOf(size, set).reverse();
    const step = Math.max(1, (front.length - 1) / (savingsShown - 1));
    const picked = new Set(
      Array.from({ length: savingsShown }, (_, i) =>
        Math.min(front.length - 1, Math.round(i * step)),
      ),
    );
    const shown = front.filter((_, i) => picked.has(i));
    if (shown.length === 0) return [`  ${set}: no other way that was measured takes less`];
    const now = size.target_bytes_per_position;
    const rows = shown.map((row) => ({
      cells: [
        row.flags,
        perPosition(row.bytes_per_position),
        `saves ${formatBytes(row.bytes_saved)}`,
        lossText(row),
      ],
      share: row.bytes_per_position / Math.max(now, row.bytes_per_position),
    }));
    const measured = formatCount(savings.sampled_positions);
    return [`  ${set} stored otherwise, measured on ${measured} positions`, ...barRows(rows)];
  });
}

function describeCost({ cost }: AuditSize): string[] {
  if (cost === null) return [];
  const money = (value: number) => moneyText(value, cost.currency);
  return [
    `  ${money(cost.per_month)} a month (${cost.storage_per_gb_month} a GB), ` +
      `${money(cost.per_epoch)} an epoch sent (${cost.egress_per_gb} a GB)`,
  ];
}
