/** Asks for the bearer token that the server wants. */
import { keepToken } from '../api.ts';
import { h } from '../element.ts';
import type { Problem } from '../types.ts';

export function tokenForm(problem: Problem, onToken: () => void): HTMLElement {
  const field = h('input', {
    id: 'token',
    type: 'password',
    required: true,
    autocomplete: 'off',
    'aria-describedby': 'token-note',
  });
  const submit = (event: Event) => {
    event.preventDefault();
    keepToken(field.value.trim());
    onToken();
  };
  return h(
    'div',
    null,
    h('h1', null, 'This server wants a token'),
    h('p', { role: 'alert' }, problem.detail),
    h(
      'form',
      { class: 'form', onsubmit: submit },
      h('label', { for: 'token' }, 'Token with the scope read'),
      field,
      h('p', { id: 'token-note', class: 'muted' }, 'Kept in this tab until it is closed.'),
      h('button', { type: 'submit', class: 'primary' }, 'Go on'),
    ),
  );
}
