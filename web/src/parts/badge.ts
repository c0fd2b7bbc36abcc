/** A verdict as a word with a mark: never by colour alone. */
import { h } from '../element.ts';

const marks = { good: '✓', warning: '▲', fault: '✕', neutral: '•' } as const;
export type Verdict = keyof typeof marks;

export function badge(verdict: Verdict, text: string): HTMLElement {
  const mark = h('span', { 'aria-hidden': 'true' }, `${marks[verdict]} `);
  return h('span', { class: `badge ${verdict}` }, mark, text);
}
