/** An image: each button is a crop or an anchor, with its class and what else is known of it. */
import { number } from '../format.ts';
import type { ImageRow } from '../types.ts';
import { labelsOf } from './position.ts';
import type { RowView } from './row-view.ts';
import { visibleText } from './token-text.ts';

export type Names = ReadonlyMap<number, string | null>;

export function imageView(row: ImageRow, names: Names): RowView {
  const labels = labelsOf(row);
  const classOf = (index: number) => {
    const label = labels[index];
    return label === null ? 'no label' : visibleText(names.get(label), label);
  };
  const text = (index: number) =>
    [`${index}: ${classOf(index)}`, ...inputsAt(row, index)].join(', ');
  return {
    name: 'Positions of the image',
    hint: 'Choose a position: what is stored for it?',
    colours: 'A position has the colour of its entropy.',
    entry: 'Class',
    label: 'hard label',
    text,
    spoken: text,
    heading: (index) => `: ${classOf(index)}`,
  };
}

/** `seed 17`, `dx -1`, `box 0.1 0.2 0.5 0.9` */
function inputsAt({ inputs }: ImageRow, index: number): string[] {
  const others = Object.entries(inputs).filter(([name]) => name !== 'hard_label');
  return others.map(([name, values]) => {
    const shown = [values[index]]
      .flat()
      .map((one) => (typeof one === 'number' ? number(one) : one));
    const word = name === 'geometry' ? 'box' : name.replace(/^augmentation_/, '');
    return `${word} ${shown.map((one) => one ?? '?').join(' ')}`;
  });
}
