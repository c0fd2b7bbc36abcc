/** What else decides a plan: batch, order, ends of an epoch, packing, filter. */
import { h } from '../element.ts';
import { choice, group, labelled, numberField, wholeOf } from './form-fields.ts';

export interface RulesField {
  readonly element: HTMLElement;
  value(): Record<string, unknown>;
}

const shuffles = { global: 'all samples', block: 'blocks of neighbours', none: 'as stored' };
const tails = { short: 'short', pad: 'filled up with weight 0', drop: 'left out' };
const stops = { all: 'every sample was seen', first: 'the first stream ends' };

/** Members without a value are left to the server's defaults. */
function given(members: Record<string, unknown>): Record<string, unknown> | undefined {
  const kept = Object.entries(members).filter(([, value]) => value !== undefined);
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
}

export function rulesField(): RulesField {
  const parts = [orderField(), epochField(), packingField(), filterField()];
  return {
    element: h(
      'div',
      null,
      parts.map(({ element }) => element),
    ),
    value: () => Object.assign({}, ...parts.map((part) => part.value())),
  };
}

function orderField(): RulesField {
  const batch = numberField('8', 1);
  const seed = h('input', { type: 'text', inputmode: 'numeric', value: '0' });
  const shuffle = choice(shuffles);
  const block = numberField('1024', 1);
  block.disabled = true;
  shuffle.addEventListener('change', () => {
    block.disabled = shuffle.value !== 'block';
  });
  const element = group(
    'Order',
    h(
      'div',
      { class: 'row' },
      labelled(
        { id: 'batch', label: 'Global batch', note: 'samples of a step, of all ranks' },
        batch,
      ),
      labelled({ id: 'seed', label: 'Seed' }, seed),
      labelled({ id: 'shuffle', label: 'Shuffle' }, shuffle),
      labelled({ id: 'block', label: 'Block' }, block),
    ),
  );
  const value = () => ({
    global_batch: wholeOf(batch),
    seed: seed.value.trim(),
    shuffle:
      shuffle.value === 'block'
        ? { mode: 'block', block: wholeOf(block) }
        : { mode: shuffle.value },
  });
  return { element, value };
}

function epochField(): RulesField {
  const size = numberField();
  const tail = choice(tails);
  const stop = choice(stops);
  const element = group(
    'Epoch',
    h(
      'div',
      { class: 'row' },
      labelled({ id: 'epoch-size', label: 'Samples an epoch', note: 'all, where empty' }, size),
      labelled({ id: 'tail', label: 'A last step that is not full is' }, tail),
      labelled({ id: 'stop', label: 'A mixture ends when' }, stop),
    ),
  );
  const value = () => ({ epoch_size: wholeOf(size) ?? null, tail: tail.value, stop: stop.value });
  return { element, value };
}

function packingField(): RulesField {
  const length = numberField('', 1);
  const window = numberField('', 1);
  const element = group(
    'Packing',
    h(
      'div',
      { class: 'row' },
      labelled(
        { id: 'pack-length', label: 'Positions of a pack', note: 'none, where empty' },
        length,
      ),
      labelled({ id: 'pack-window', label: 'Open packs', note: '1024, where empty' }, window),
    ),
  );
  const value = () => ({
    packing: given({ length: wholeOf(length), window: wholeOf(window) }) ?? null,
  });
  return { element, value };
}

function filterField(): RulesField {
  const [least, most, learned] = [numberField(), numberField(), numberField()];
  const field = h('input', { type: 'text', spellcheck: 'false' });
  const values = h('input', { type: 'text', spellcheck: 'false' });
  const element = group(
    'Filter',
    h(
      'div',
      { class: 'row' },
      labelled({ id: 'positions-min', label: 'At least positions' }, least),
      labelled({ id: 'positions-max', label: 'At most positions' }, most),
      labelled({ id: 'learned-min', label: 'At least to be learned' }, learned),
      labelled({ id: 'meta-field', label: 'Member of meta', note: 'e.g. source' }, field),
      labelled({ id: 'meta-in', label: 'is one of', note: 'separated by commas' }, values),
    ),
  );
  const value = () => ({
    filter:
      given({
        positions: given({ min: wholeOf(least), max: wholeOf(most) }),
        learned: given({ min: wholeOf(learned) }),
        meta: metaOf(field.value.trim(), values.value),
      }) ?? null,
  });
  return { element, value };
}

/** Whole numbers are numbers in a sample's meta. */
function metaOf(field: string, values: string) {
  if (field === '') return undefined;
  const named = values.split(',').flatMap((value) => (value.trim() === '' ? [] : [value.trim()]));
  return { field, in: named.map((value) => (/^-?\d{1,15}$/.test(value) ? Number(value) : value)) };
}
