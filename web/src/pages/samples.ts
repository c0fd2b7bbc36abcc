/** `/datasets/DS/snapshots/SNAP/samples?at=N`: a sample's tokens and what is stored at each. */
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
import { type Position, positionsOf } from '../samples/position.ts';
import { type Measure, tokenStrip } from '../samples/strip.ts';
import { quotedText } from '../samples/token-text.ts';
import type { Row, RowsReply, Statistics } from '../types.ts';

const rowColumns = 'tokens,mask,meta,targets,text';
/** Kept while samples are browsed. */
let measure: Measure = 'surprise';

interface Sample {
  readonly api: string;
  readonly row: Row;
  readonly set: string;
  readonly labelSpace: number;
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
  const labelSpace = statistics.label_space.size;
  const shown =
    set === undefined
      ? h('p', null, 'This snapshot has hard labels alone.')
      : browser({ api, row, set, labelSpace, signal });
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

function about({ sample_id, tokens, mask, meta }: Row): HTMLElement {
  const learned = mask.filter(Boolean).length;
  return facts([
    ['Sample id', h('code', { class: 'digest' }, sample_id)],
    ['Positions', `${plural(tokens.length, 'position')}, ${count(learned)} to be learned`],
    ['Meta', h('code', { class: 'digest' }, JSON.stringify(meta))],
  ]);
}

function browser(sample: Sample): HTMLElement {
  const { row, set, labelSpace } = sample;
  const positions = positionsOf(row, row.targets[set], labelSpace);
  const shown = h('section', { 'aria-label': 'Stored distribution', 'aria-live': 'polite' });
  const strip = tokenStrip({
    row,
    positions,
    onChoose: (position) => void choose(sample, position, shown),
  });
  strip.colour(measure);
  shown.append(h('p', { class: 'muted' }, 'Choose a token: what is stored for the one after it?'));
  return h(
    'div',
    null,
    measureSwitch((chosen) => {
      measure = chosen;
      strip.colour(chosen);
    }),
    legend(),
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

function legend(): HTMLElement {
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
    h('span', { class: 'muted' }, 'A token has the colour of its position: of what follows it.'),
  );
}

let latest = 0;

async function choose(sample: Sample, position: Position, shown: HTMLElement): Promise<void> {
  const { api, row, labelSpace, signal } = sample;
  const turn = ++latest;
  const after = quotedText(row.text?.[position.index], row.tokens[position.index]);
  try {
    const texts = row.text === null ? null : await textsOf(api, shownIds(position), signal);
    // a slow answer does not replace that of a later choice
    if (turn !== latest || signal.aborted) return;
    shown.replaceChildren(distributionView({ position, after, labelSpace, texts }));
  } catch (error) {
    if (!signal.aborted && turn === latest) shown.replaceChildren(problemBox(error));
  }
}

async function textsOf(api: string, ids: readonly number[], signal: AbortSignal) {
  if (ids.length === 0) return new Map<number, string | null>();
  const { texts } = await get<{ texts: (string | null)[] }>(
    `${api}/tokens?ids=${ids.join()}`,
    signal,
  );
  return new Map(ids.map((id, i) => [id, texts[i]]));
}
