/** `/datasets/DS/snapshots/SNAP`: what a snapshot is, and what its audit found. */
import { get, snapshotPath } from '../api.ts';
import { auditSection, firstLook } from '../audit/section.ts';
import { h } from '../element.ts';
import { bytes, count, number, short } from '../format.ts';
import * as addresses from '../navigate.ts';
import type { PageMaker } from '../page.ts';
import { facts } from '../parts/facts.ts';
import { alignmentBadge, fidelityText } from '../parts/glance.ts';
import type { Statistics } from '../types.ts';

export const snapshotPage: PageMaker = async ({ params, signal }) => {
  const { dataset, snapshot } = params;
  const api = snapshotPath(dataset, snapshot);
  const [statistics, first] = await Promise.all([
    get<Statistics>(`${api}/statistics`, signal),
    firstLook(api, signal),
  ]);
  const here = addresses.snapshotPage(dataset, snapshot);
  const name = statistics.tags[0] ?? short(statistics.snapshot);
  const body = h(
    'div',
    null,
    h('p', { class: 'trail' }, h('a', { href: '/' }, 'Data sets'), ' / ', dataset),
    h('h1', null, `${dataset}, ${name}`),
    h(
      'p',
      { class: 'actions' },
      h('a', { class: 'button', href: `${here}/samples` }, 'Browse its samples'),
      h('a', { class: 'button', href: `/plans/new?${chosen(dataset, snapshot)}` }, 'Make a plan'),
    ),
    overview(statistics),
    statistics.target_sets.map(targetSet),
    auditSection({ api, first, signal }),
  );
  return { title: `${dataset}, ${name}`, body };
};

const chosen = (dataset: string, snapshot: string) =>
  new URLSearchParams({ dataset, snapshot }).toString();

function overview(found: Statistics): HTMLElement {
  const { totals, label_space, roles } = found;
  const files = roles.reduce((sum, role) => sum + role.files, 0);
  return facts([
    ['Snapshot', h('code', { class: 'digest' }, found.snapshot)],
    ['Tags', found.tags.length > 0 && found.tags.join(', ')],
    ['Parent', found.parent && h('code', { class: 'digest' }, found.parent)],
    ['Samples', count(totals.samples)],
    ['Positions', `${count(totals.positions)}, ${count(totals.learned)} to be learned`],
    ['Size', `${bytes(totals.bytes)} in ${count(files)} files`],
    ['Bytes a position', number(found.bytes_per_position)],
    ['Label space', `${label_space.kind}, ${count(label_space.size)}`],
    ['Origin', found.origin],
    ['Licence', found.licence],
  ]);
}

function targetSet(set: Statistics['target_sets'][number]): HTMLElement {
  const extra = set.log_z.length > 0 && `log Z at ${set.log_z.join(', ')}`;
  return h(
    'section',
    { 'aria-label': `Target set ${set.name}` },
    h('h2', null, 'Target set ', h('code', null, set.name)),
    facts([
      ['Teacher', set.teacher],
      ['Kept by', `${set.sparsifier}, ${set.kind}`],
      ['Codec', set.codec],
      ['Temperature', [number(set.temperature), extra && `; ${extra}`]],
      ['Entries a position', number(set.entries_per_position)],
      ['Fidelity', fidelityText(set)],
      ['Alignment', alignmentBadge(set.alignment)],
    ]),
  );
}
