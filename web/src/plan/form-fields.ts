/** Labelled fields of the form that makes a plan. */
import { type Child, h } from '../element.ts';

export interface FieldOptions {
  readonly id: string;
  readonly label: string;
  readonly note?: string;
}

export function labelled({ id, label, note }: FieldOptions, input: HTMLElement): HTMLElement {
  input.id = id;
  if (note !== undefined) input.setAttribute('aria-describedby', `${id}-note`);
  return h(
    'div',
    { class: 'field' },
    h('label', { for: id }, label),
    input,
    note !== undefined && h('span', { id: `${id}-note`, class: 'muted' }, note),
  );
}

export function choice(options: Readonly<Record<string, string>>, value?: string) {
  const select = h(
    'select',
    null,
    Object.entries(options).map(([value, name]) => h('option', { value }, name)),
  );
  if (value !== undefined) select.value = value;
  return select;
}

export function group(title: string, ...children: readonly Child[]): HTMLElement {
  return h('fieldset', null, h('legend', null, title), children);
}

/** Undefined where nothing was typed; what is no number is left to the server to refuse. */
export function wholeOf({ value }: HTMLInputElement): number | undefined {
  return value.trim() === '' ? undefined : Number(value);
}

export const numberField = (value = '', min = 0) =>
  h('input', { type: 'number', min, step: 1, value });
