/** `/`: data sets and their snapshots, with what matters of each at a glance. */
import { get, snapshotPath } from '../api.ts';
import { type Child, h } from '../element.ts';
import { bytes, count, number, plural, short } from '../format.ts';
import { snapshotPage } from '../navigate.ts';
import type { PageMaker } from '../page.ts';
import { alignmentBadge, auditBadge, fidelityText } from '../parts/glance.ts';
import { table } from '../parts/table.ts';
import type { DatasetList, DatasetReply, Statistics } from '../types.ts';

const columns = [
  { name: 'Snapshot' },
  { name: 'Samples', numeric: true },
  { name: 'Positions', numeric: true },
  { name: 'Size', numeric: true },
  { name: 'Bytes a position', numeric: true },
  { name: 'Fidelity' },
  { name: 'Alignment' },
  { name: 'Audit' },
];

export const datasetsPage: PageMaker = async ({ query, signal }) => {
  const cursor = query.get('cursor');
  const path = `/v1/datasets?limit=50${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`;
  const { datasets, next } = await get<DatasetList>(path, signal);
  const sections = datasets.map(({ name }) => {
    const section = h('section', { 'aria-label': name }, h('h2', null, name));
    void fill(section, name, signal);
    return section;
  });
  const body = h(
    'div',
    null,
    h('h1', null, 'Data sets'),
    sections.length === 0 &&
      h('p', null, 'There is no data set yet: `logitcask build` or `import` makes one.'),
    sections,
    next !== null &&
      h('p', null, h('a', { href: `/?cursor=${encodeURIComponent(next)}` }, 'More data sets')),
  );
  return { title: 'Data sets', body };
};

/** The page is there before this: each data set shows what it holds as the server tells it. */
async function fill(section: HTMLElement, name: string, signal: AbortSignal): Promise<void> {
  try {
    const path = `/v1/datasets/${encodeURIComponent(name)}`;
    const { tags, snapshots, builds } = await get<DatasetReply>(path, signal);
    const tagged = [...new Set(Object.values(tags))];
    const others = snapshots.filter((id) => !tagged.includes(id));
    const running = builds.filter(({ state }) => state === 'running').length;
    const rows = await Promise.all(tagged.map((id) => rowOf(name, { id, tags, signal })));
    section.append(
      rows.length > 0
        ? table({ caption: `Snapshots of ${name}`, hiddenCaption: true, columns, rows })
        : h('p', { class: 'muted' }, 'No tag points at a snapshot.'),
      untagged(name, others),
    );
    if (running > 0) {
      const text = `${plural(running, 'build')} running`;
      section.append(h('p', null, h('a', { href: '/builds' }, text)));
    }
  } catch (error) {
    if (!signal.aborted) section.append(h('p', { class: 'muted' }, (error as Error).message));
  }
}

interface Tagged {
  readonly id: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

async function rowOf(dataset: string, { id, tags, signal }: Tagged): Promise<Child[]> {
  const names = Object.keys(tags).filter((tag) => tags[tag] === id);
  const link = h(
    'a',
    { href: snapshotPage(dataset, id), title: id, 'aria-label': `${dataset}, ${names.join(', ')}` },
    names.join(', '),
  );
  const first = [link, ' ', h('code', { class: 'muted' }, short(id))];
  try {
    const found = await get<Statistics>(`${snapshotPath(dataset, id)}/statistics`, signal);
    return [first, ...glance(found)];
  } catch (error) {
    const empty = columns.slice(2).map(() => '');
    return [first, h('span', { class: 'muted' }, (error as Error).message), ...empty];
  }
}

function glance({ totals, bytes_per_position, target_sets, audit }: Statistics): Child[] {
  const each = (view: (set: Statistics['target_sets'][number]) => Child) =>
    target_sets.map((set) =>
      h('div', null, target_sets.length > 1 ? `${set.name}: ` : null, view(set)),
    );
  return [
    count(totals.samples),
    count(totals.positions),
    bytes(totals.bytes),
    number(bytes_per_position),
    each(fidelityText),
    each(({ alignment }) => alignmentBadge(alignment)),
    auditBadge(audit),
  ];
}

function untagged(dataset: string, ids: readonly string[]): HTMLElement | string {
  if (ids.length === 0) return '';
  const links = ids.map((id) =>
    h('li', null, h('a', { href: snapshotPage(dataset, id) }, h('code', null, short(id)))),
  );
  return h(
    'details',
    null,
    h('summary', null, `${plural(ids.length, 'snapshot')} without a tag`),
    h('ul', null, links),
  );
}
