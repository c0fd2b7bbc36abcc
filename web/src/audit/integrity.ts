/** Whether the files are what the manifest says. */
import { h } from '../element.ts';
import { bytes, count } from '../format.ts';
import { badge } from '../parts/badge.ts';
import { facts } from '../parts/facts.ts';
import { table } from '../parts/table.ts';
import type { AuditReport } from '../types.ts';

function listed({ total, rows }: AuditReport['integrity']['quarantined']): string {
  const more = total > rows.length ? ` and ${count(total - rows.length)} more` : '';
  return `${rows.join(', ')}${more}`;
}

export function integrityPart(found: AuditReport['integrity']): HTMLElement {
  const { problems, orphans, quarantined, images } = found;
  const verdict =
    problems.total === 0
      ? badge('good', 'every digest as stated')
      : badge('fault', `${count(problems.total)} damaged`);
  return h(
    'section',
    { 'aria-label': 'Integrity' },
    h('h3', null, 'Integrity'),
    facts([
      ['Files', verdict],
      ['Checked', `${count(found.files_checked)} of ${count(found.files)}`],
      ['Read', bytes(found.bytes_checked)],
      ['Images', images !== null && `${count(images.checked)} read, ${count(images.wrong)} wrong`],
      ['Quarantined', quarantined.total > 0 && listed(quarantined)],
    ]),
    problems.total > 0 &&
      table({
        caption: `Damage, ${count(problems.rows.length)} of ${count(problems.total)}`,
        columns: [{ name: 'File' }, { name: 'Code' }, { name: 'What' }],
        rows: problems.rows.map(({ file, code, message }) => [
          h('code', null, file),
          h('code', null, code),
          message,
        ]),
      }),
    orphans.total > 0 &&
      table({
        caption: `Orphans, ${count(orphans.rows.length)} of ${count(orphans.total)}`,
        columns: [{ name: 'File' }, { name: 'Bytes', numeric: true }],
        rows: orphans.rows.map(({ path, bytes: size }) => [h('code', null, path), bytes(size)]),
      }),
  );
}
