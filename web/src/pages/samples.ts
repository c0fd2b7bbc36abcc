/** `/datasets/DS/snapshots/SNAP/samples?at=N`: a sample, and what is stored at each position. */
import { get, snapshotPath } from '../api.ts';
import { h } from '../element.ts';
import { count, plural, short } from '../format.ts';
import * as addresses from '../navigate.ts';
import { navigate } from '../navigate.ts';
import type { PageMaker } from '../page.ts';
import { facts } from '../parts/facts.ts';
import { problemBox } from '../parts/problem.ts';
import { distributionView, shownIds } from '../samples/distribution.ts';
import { heatNames } from '../samples/heat.ts';
import { storedPicture } from '../samples/image-picture.ts';
import { imageView } from '../samples/image-view.ts';
import { labelsOf, type Position, positionsOf, type SetSpace } from '../samples/position.ts';
import type { RowView } from '../samples/row-view.ts';
import { type Measure, positionStrip } from '../samples/strip.ts';
import { textView } from '../samples/text-view.ts';
import type { ImageRow, ModelInput, Row, RowsReply, Statistics } from '../types.ts';

const rowColumns = 'tokens,image,mask,inputs,meta,targets,text';
const idsMax = 1000;
/** Kept while samples are browsed. */
let measure: Measure = 'surprise';

interface Sample {
  readonly api: string;
  readonly row: Row;
  readonly set: string;
  readonly space: SetSpace;
  readonly view: RowView;
  /** Whether the images of the snapshot are stored. */
  readonly isStored: boolean;
  readonly input: ModelInput | null;
  readonly signal: AbortSignal;
}

export const samplesPage: PageMaker = async ({ params, query, signal }) => {
  const { dataset, snapshot } = params;
  const api = snapshotPath(dataset, snapshot);
  const at = Math.max(0, Math.floor(Number(query.get('at') ?? 0)) || 0);
  const [statistics, { rows, total }] = await Promise.all([
    get<Statistics>(`${api}/statistics`, signal),
    get<RowsReply>(`${api}/rows?offset=${at}&length=1&columns=${rowColumns}`, signal),
  ]);
  const here = addresses.snapshotPage(dataset, snapshot);
  const [row] = rows;
  const title = `Sample ${at} of ${dataset}`;
  const head = [
    h(
      'p',
      { class: 'trail' },
      h('a', { href: '/' }, 'Data sets'),
      ' / ',
      h('a', { href: here }, `${dataset}, ${statistics.tags[0] ?? short(statistics.snapshot)}`),
    ),
    h('h1', null, title),
    steps({ at, total, here, set: query.get('set') }),
  ];
  if (row === undefined) {
    const text = `There is no sample ${at}; the last one is ${count(total - 1)}.`;
    return { title, body: h('div', null, head, h('p', null, text)) };
  }
  const sets = Object.keys(row.targets);
  const set = sets.find((name) => name === query.get('set')) ?? sets[0];
  const view = 'tokens' in row ? textView(row) : await viewOf(row, { api, signal });
  const shown =
    set === undefined
      ? h('p', null, 'This snapshot has hard labels alone.')
      : browser({
          api,
          row,
          set,
          space: spaceOf(statistics, set),
          view,
          isStored: statistics.images !== null,
          input: statistics.model_input,
          signal,
        });
  const body = h(
    'div',
    null,
    head,
    sets.length > 1 && setSwitch({ sets, set, at, here }),
    about(row),
    shown,
  );
  return { title, body };
};

async function viewOf(row: ImageRow, { api, signal }: Pick<Sample, 'api' | 'signal'>) {
  const labels = new Set(labelsOf(row).filter((label) => label !== null));
  return imageView(row, await textsOf(`${api}/tokens?`, [...labels], signal));
}

function spaceOf({ target_sets, label_space }: Statistics, name: string): SetSpace {
  const set = target_sets.find((one) => one.name === name);
  return {
    labelSpace: (set?.label_space ?? label_space).size,
    hasScores: set?.normalisation === 'sigmoid',
    hasOwnClasses: (set?.label_space ?? null) !== null,
  };
}

interface Place {
  readonly at: number;
  readonly total: number;
  readonly here: string;
  readonly set: string | null;
}

function address({ at, here, set }: Omit<Place, 'total'>): string {
  const query = new URLSearchParams({ at: String(at), ...(set === null ? {} : { set }) });
  return `${here}/samples?${query}`;
}

function steps(place: Place): HTMLElement {
  const { at, total } = place;
  const field = h('input', { id: 'at', type: 'number', min: 0, max: total - 1, value: at });
  const go = (event: Event) => {
    event.preventDefault();
    navigate(address({ ...place, at: Number(field.value) }));
  };
  const link = (id: string, name: string, to: number) =>
    to >= 0 && to < total
      ? h('a', { id, class: 'button', href: address({ ...place, at: to }) }, name)
      : h('span', { class: 'button off' }, name);
  return h(
    'nav',
    { class: 'actions', 'aria-label': 'Samples' },
    link('previous', '← Previous', at - 1),
    link('next', 'Next →', at + 1),
    h(
      'form',
      { onsubmit: go },
      h('label', { for: 'at' }, 'Sample '),
      field,
      ` of ${count(total)} `,
      h('button', { type: 'submit' }, 'Go'),
    ),
  );
}

function setSwitch(choice: { sets: string[]; set: string; at: number; here: string }) {
  const { sets, set, at, here } = choice;
  const select = h(
    'select',
    { id: 'set', onchange: () => navigate(address({ at, here, set: select.value })) },
    sets.map((name) => h('option', { value: name, selected: name === set }, name)),
  );
  return h('p', null, h('label', { for: 'set' }, 'Target set '), select);
}

function about(row: Row): HTMLElement {
  const { sample_id, mask, meta } = row;
  const image = 'image' in row ? row.image : null;
  const learned = mask.filter(Boolean).length;
  return facts([
    ['Sample id', h('code', { class: 'digest' }, sample_id)],
    ['Positions', `${plural(mask.length, 'position')}, ${count(learned)} to be learned`],
    ['Image', image && h('code', { class: 'digest' }, image.uri)],
    ['Its digest', image && h('code', { class: 'digest' }, image.sha256)],
    ['Meta', h('code', { class: 'digest' }, JSON.stringify(meta))],
  ]);
}

function browser(sample: Sample): HTMLElement {
  const { row, set, space, view } = sample;
  const positions = positionsOf(row, row.targets[set], space);
  const picture =
    'image' in row
      ? storedPicture({ ...sample, row, onIcons: (icon) => strip.show(icon) })
      : undefined;
  const shown = h('section', { 'aria-label': 'Stored distribution', 'aria-live': 'polite' });
  const strip = positionStrip({
    view,
    positions,
    onChoose: (position) => {
      picture?.mark(position);
      void choose(sample, position, shown);
    },
  });
  const isText = 'tokens' in row;
  strip.colour(isText ? measure : 'entropy');
  if (!isText) strip.element.classList.add('places');
  shown.append(h('p', { class: 'muted' }, view.hint));
  return h(
    'div',
    null,
    isText &&
      measureSwitch((chosen) => {
        measure = chosen;
        strip.colour(chosen);
      }),
    legend(view),
    picture?.element,
    h('div', { class: 'browser' }, strip.element, shown),
  );
}

const meanings: Readonly<Record<Measure, string>> = {
  surprise: 'surprise: −log p of the token that came next',
  entropy: 'entropy: how open the next token is',
};

function measureSwitch(onChange: (measure: Measure) => void): HTMLElement {
  const choices = (Object.keys(meanings) as Measure[]).map((name) =>
    h(
      'label',
      null,
      h('input', {
        type: 'radio',
        name: 'measure',
        value: name,
        checked: name === measure,
        onchange: () => onChange(name),
      }),
      ` ${meanings[name]}`,
    ),
  );
  return h('fieldset', { class: 'choice' }, h('legend', null, 'Colour by'), choices);
}

function legend({ colours }: RowView): HTMLElement {
  const steps = heatNames.map((name, i) => {
    const key = h('span', { class: 'token' }, name);
    key.dataset.heat = String(i);
    return h('li', null, key);
  });
  const masked = h('span', { class: 'token masked' }, 'masked');
  masked.dataset.heat = 'none';
  return h(
    'div',
    { class: 'legend' },
    h('span', null, 'Nats:'),
    h('ul', { 'aria-label': 'Colours, nats' }, steps, h('li', null, masked)),
    h('span', { class: 'muted' }, colours),
  );
}

let latest = 0;

async function choose(sample: Sample, position: Position, shown: HTMLElement): Promise<void> {
  const { api, row, set, space, view, signal } = sample;
  const turn = ++latest;
  try {
    const texts =
      'text' in row && row.text === null
        ? null
        : await textsOf(`${api}/tokens?set=${set}&`, shownIds(position), signal);
    // a slow answer does not replace that of a later choice
    if (turn !== latest || signal.aborted) return;
    shown.replaceChildren(distributionView({ position, view, space, texts }));
  } catch (error) {
    if (!signal.aborted && turn === latest) shown.replaceChildren(problemBox(error));
  }
}

async function textsOf(address: string, ids: readonly number[], signal: AbortSignal) {
  const found = new Map<number, string | null>();
  for (let from = 0; from < ids.length; from += idsMax) {
    const some = ids.slice(from, from + idsMax);
    const path = `${address}ids=${some.join()}`;
    const { texts } = await get<{ texts: (string | null)[] }>(path, signal);
    for (const [i, id] of some.entries()) found.set(id, texts[i]);
  }
  return found;
}
