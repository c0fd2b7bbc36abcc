/** Lines to copy, with a button that does. */
import { h } from '../element.ts';

export function copied(text: string, label: string): HTMLElement {
  const said = h('span', { role: 'status', class: 'muted' });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      said.textContent = 'copied';
    } catch {
      said.textContent = 'the browser refuses to copy here: select the lines';
    }
  };
  return h(
    'div',
    { class: 'copied' },
    h('pre', { tabindex: '0', role: 'group', 'aria-label': label }, h('code', null, text)),
    h('p', null, h('button', { type: 'button', onclick: copy }, 'Copy'), ' ', said),
  );
}
