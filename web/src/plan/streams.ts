/** The streams of a new plan: data sets, which snapshot of each, and its share of an epoch. */
import { h } from '../element.ts';
import { choice, group, labelled, numberField, wholeOf } from './form-fields.ts';

const shares = {
  all: 'all of it, once',
  proportion: 'a proportion of',
  repeat: 'so many passes',
  choose: 'so many samples',
} as const;

export interface StreamRequest {
  readonly dataset: string;
  readonly snapshot: string;
  readonly proportion?: number;
  readonly repeat?: number;
  readonly choose?: number;
}

export interface StreamsField {
  readonly element: HTMLElement;
  value(): StreamRequest[];
}

interface Fields {
  readonly element: HTMLElement;
  value(): StreamRequest;
}

export interface StreamsOptions {
  readonly datasets: readonly string[];
  readonly chosen: { readonly dataset?: string; readonly snapshot?: string };
}

export function streamsField({ datasets, chosen }: StreamsOptions): StreamsField {
  let made = 0;
  const streams: Fields[] = [];
  const list = h('div');
  const add = (dataset?: string, snapshot?: string) => {
    const stream = streamFields({ number: made++, datasets, dataset, snapshot, remove });
    streams.push(stream);
    list.append(stream.element);
    return stream;
  };
  function remove(element: HTMLElement): void {
    if (streams.length === 1) return;
    streams.splice(
      streams.findIndex((stream) => stream.element === element),
      1,
    );
    element.remove();
    more.focus();
  }
  const more = h(
    'button',
    { type: 'button', onclick: () => add().element.querySelector('select')?.focus() },
    'Add a stream',
  );
  add(chosen.dataset, chosen.snapshot);
  const element = h('div', null, list, h('p', null, more));
  return { element, value: () => streams.map((stream) => stream.value()) };
}

interface StreamOptions {
  readonly number: number;
  readonly datasets: readonly string[];
  readonly dataset?: string;
  readonly snapshot?: string;
  remove(element: HTMLElement): void;
}

function streamFields({ number, datasets, dataset, snapshot, remove }: StreamOptions): Fields {
  const named = choice(Object.fromEntries(datasets.map((name) => [name, name])), dataset);
  const ref = h('input', { type: 'text', value: snapshot ?? 'latest', spellcheck: 'false' });
  const share = choice(shares);
  const amount = numberField('1', 1);
  amount.disabled = true;
  share.addEventListener('change', () => {
    amount.disabled = share.value === 'all';
  });
  const id = (part: string) => `stream-${number}-${part}`;
  const element = group(
    `Stream ${number + 1}`,
    h(
      'div',
      { class: 'row' },
      labelled({ id: id('dataset'), label: 'Data set' }, named),
      labelled({ id: id('snapshot'), label: 'Snapshot or tag' }, ref),
      labelled({ id: id('share'), label: 'Share of an epoch' }, share),
      labelled({ id: id('amount'), label: 'Amount' }, amount),
      h(
        'button',
        {
          type: 'button',
          'aria-label': `Remove stream ${number + 1}`,
          onclick: () => remove(element),
        },
        'Remove',
      ),
    ),
  );
  const value = (): StreamRequest => ({
    dataset: named.value,
    snapshot: ref.value.trim(),
    ...(share.value === 'all' ? {} : { [share.value]: wholeOf(amount) }),
  });
  return { element, value };
}
