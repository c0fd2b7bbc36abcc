/** A refusal as people read it: what happened, what was expected and got, whether to try again. */
import { isRefused } from '../api.ts';
import { h } from '../element.ts';

export function problemBox(error: unknown): HTMLElement {
  if (!isRefused(error)) {
    const detail = String((error as Error).message ?? error);
    return h('div', { class: 'problem', role: 'alert' }, h('p', null, detail));
  }
  const { detail, code, expected, got, retryable } = error.problem;
  return h(
    'div',
    { class: 'problem', role: 'alert' },
    h('p', null, detail),
    h(
      'dl',
      { class: 'facts' },
      h('div', null, h('dt', null, 'Code'), h('dd', null, h('code', null, code))),
      expected !== null && pair('Expected', expected),
      got !== null && pair('Got', got),
    ),
    retryable && h('p', null, 'The same request may succeed later.'),
  );
}

const pair = (name: string, value: unknown) =>
  h('div', null, h('dt', null, name), h('dd', null, h('code', null, shown(value))));

function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > 400 ? `${text.slice(0, 400)} …` : text;
}
