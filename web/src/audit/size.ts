/** Where the bytes are, what others would take, and what other settings would save. */
import { h } from '../element.ts';
import { bytes, count, number, percent } from '../format.ts';
import { facts } from '../parts/facts.ts';
import { bar, table } from '../parts/table.ts';
import type { AuditReport } from '../types.ts';

type Size = AuditReport['size'];

export function sizePart(size: Size): HTMLElement {
  return h(
    'section',
    { 'aria-label': 'Size' },
    h('h3', null, 'Size'),
    facts([
      ['All files', bytes(size.bytes)],
      ['Bytes a position', number(size.bytes_per_position)],
      ['of targets', number(size.target_bytes_per_position)],
      ['Stored images', size.images && `${count(size.images.count)}, ${bytes(size.images.bytes)}`],
      ['A month', size.cost && `${number(size.cost.per_month)} ${size.cost.currency}`],
      ['An epoch', size.cost && `${number(size.cost.per_epoch)} ${size.cost.currency}`],
    ]),
    columns(size),
    size.others.length > 0 && others(size),
    size.savings.rows.length > 0 && savings(size),
    roles(size),
  );
}

function columns({ columns, positions }: Size): HTMLElement {
  const all = columns.reduce((sum, column) => sum + column.bytes, 0);
  return table({
    caption: 'Bytes by column',
    columns: [
      { name: 'Column' },
      { name: 'Bytes a position', numeric: true },
      { name: 'Share', numeric: true },
      { name: '' },
    ],
    rows: columns.map(({ name, bytes: size }) => [
      h('code', null, name),
      number(positions === 0 ? 0 : size / positions),
      percent(all === 0 ? 0 : size / all),
      bar(all === 0 ? 0 : size / all),
    ]),
  });
}

function others({ others, target_bytes_per_position: targets }: Size): HTMLElement {
  return table({
    caption: 'The same positions stored otherwise',
    columns: [
      { name: 'As' },
      { name: 'Bytes a position', numeric: true },
      { name: 'Times the targets', numeric: true },
    ],
    rows: others.map(({ name, bytes_per_position: size }) => [
      name,
      number(size),
      number(size / Math.max(Number.MIN_VALUE, targets)),
    ]),
  });
}

function savings({ savings }: Size): HTMLElement {
  const most = Math.max(1, ...savings.rows.map((row) => row.bytes_per_position));
  return table({
    caption: `What other settings take, measured on ${count(savings.sampled_positions)} positions`,
    columns: [
      { name: 'Flags of build' },
      { name: 'Compression' },
      { name: 'Bytes a position', numeric: true },
      { name: '' },
      { name: 'Saves', numeric: true },
      { name: 'Loses' },
    ],
    rows: savings.rows.map((row) => [
      h('code', null, row.flags || '(as it is)'),
      row.compression,
      number(row.bytes_per_position),
      bar(row.bytes_per_position / most),
      bytes(row.bytes_saved),
      loss(row),
    ]),
  });
}

function loss({ kl, variance }: Size['savings']['rows'][number]): string {
  if (kl !== null) return `KL ${number(kl)} nats`;
  return variance === null ? '–' : `variance ${number(variance)}`;
}

function roles({ roles, files }: Size): HTMLElement {
  return h(
    'details',
    null,
    h('summary', null, `Files (${count(files.total)})`),
    table({
      caption: 'Bytes by kind of file',
      columns: [
        { name: 'Kind' },
        { name: 'Files', numeric: true },
        { name: 'Bytes', numeric: true },
      ],
      rows: roles.map(({ role, files, bytes: size }) => [role, count(files), bytes(size)]),
    }),
    table({
      caption: `Largest files, ${count(files.rows.length)} of ${count(files.total)}`,
      columns: [
        { name: 'File' },
        { name: 'Kind' },
        { name: 'Bytes', numeric: true },
        { name: 'Positions', numeric: true },
      ],
      rows: files.rows.map((file) => [
        h('code', null, file.name),
        file.role,
        bytes(file.bytes),
        count(file.positions),
      ]),
    }),
  );
}
