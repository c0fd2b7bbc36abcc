/** A text: each button is a token, and stands for what follows it. */
import { h } from '../element.ts';
import type { TextRow } from '../types.ts';
import type { RowView } from './row-view.ts';
import { quotedText, visibleText } from './token-text.ts';

export function textView({ tokens, text }: TextRow): RowView {
  const spoken = (index: number) => quotedText(text?.[index], tokens[index]);
  return {
    name: 'Tokens of the sample',
    hint: 'Choose a token: what is stored for the one after it?',
    colours: 'A token has the colour of its position: of what follows it.',
    entry: 'Token',
    label: 'came next',
    text: (index) => visibleText(text?.[index], tokens[index]),
    spoken,
    heading: (index) => [': after ', h('q', null, spoken(index))],
  };
}
