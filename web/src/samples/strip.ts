/** A sample's positions as buttons in a row: one stop of the tab key, arrows move within. */
import { h } from '../element.ts';
import { number } from '../format.ts';
import { heatOf } from './heat.ts';
import type { Position } from './position.ts';
import type { RowView } from './row-view.ts';

export type Measure = 'surprise' | 'entropy';

export interface Strip {
  readonly element: HTMLElement;
  colour(measure: Measure): void;
  /** Puts a small picture before the text of each button. */
  show(icon: (index: number) => HTMLElement | undefined): void;
}

export interface StripOptions {
  readonly view: RowView;
  readonly positions: readonly Position[];
  onChoose(position: Position): void;
}

export function positionStrip({ view, positions, onChoose }: StripOptions): Strip {
  const buttons = positions.map((position) => {
    const { index, learned } = position;
    const onclick = () => choose(index);
    const state = learned ? 'token' : 'token masked';
    return h('button', { type: 'button', class: state, tabindex: '-1', onclick }, view.text(index));
  });
  buttons[0]?.setAttribute('tabindex', '0');
  const onkeydown = (event: KeyboardEvent) => {
    const at = buttons.indexOf(event.target as HTMLButtonElement);
    const to = at < 0 ? undefined : target(event.key, at, buttons);
    if (to === undefined) return;
    event.preventDefault();
    focus(to);
  };
  function focus(to: number): void {
    for (const button of buttons) button.setAttribute('tabindex', '-1');
    buttons[to].setAttribute('tabindex', '0');
    buttons[to].focus();
  }
  function choose(index: number): void {
    for (const button of buttons) button.removeAttribute('aria-current');
    buttons[index].setAttribute('aria-current', 'true');
    focus(index);
    onChoose(positions[index]);
  }
  const element = h(
    'div',
    { class: 'strip', role: 'group', 'aria-label': view.name, onkeydown },
    buttons,
  );
  function colour(measure: Measure): void {
    for (const [i, button] of buttons.entries()) {
      const heat = heatOf(positions[i][measure]);
      button.dataset.heat = heat === null ? 'none' : String(heat);
      const label = described(view, positions[i], measure);
      button.setAttribute('aria-label', label);
      button.title = label;
    }
  }
  function show(icon: (index: number) => HTMLElement | undefined): void {
    for (const [i, button] of buttons.entries()) button.prepend(icon(i) ?? '');
  }
  return { element, colour, show };
}

function described(view: RowView, position: Position, measure: Measure): string {
  const { index, learned } = position;
  const nats = position[measure];
  const value = nats === null ? `${measure} unknown` : `${measure} ${number(nats)} nats`;
  const note = learned ? '' : ', masked: not to be learned';
  return `${view.spoken(index)}, position ${index}, ${value}${note}`;
}

/** Where an arrow leads: up and down to the nearest token of the line above and below. */
function target(key: string, at: number, buttons: readonly HTMLElement[]): number | undefined {
  const last = buttons.length - 1;
  if (key === 'ArrowRight') return Math.min(last, at + 1);
  if (key === 'ArrowLeft') return Math.max(0, at - 1);
  if (key === 'Home') return 0;
  if (key === 'End') return last;
  if (key === 'ArrowDown') return nextLine(at, 1, buttons);
  if (key === 'ArrowUp') return nextLine(at, -1, buttons);
  return undefined;
}

function nextLine(at: number, by: 1 | -1, buttons: readonly HTMLElement[]): number {
  const { offsetTop: line, offsetLeft: left } = buttons[at];
  let found = at;
  let top: number | undefined;
  for (let i = at + by; i >= 0 && i < buttons.length; i += by) {
    const { offsetTop } = buttons[i];
    if (offsetTop === line) continue;
    top ??= offsetTop;
    if (offsetTop !== top) break;
    const nearer =
      Math.abs(buttons[i].offsetLeft - left) < Math.abs(buttons[found].offsetLeft - left);
    if (found === at || nearer) found = i;
  }
  return found;
}
