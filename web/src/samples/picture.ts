/** Boxes of an image's positions on an empty ground: the server has no images. */
import { h } from '../element.ts';
import { number } from '../format.ts';
import type { ImageRow } from '../types.ts';
import { boxesOf } from './boxes.ts';
import type { Picture } from './row-view.ts';

/** Undefined where there are none, or some are no numbers. */
export function boxesPicture({ inputs }: ImageRow): Picture | undefined {
  const geometry = inputs.geometry as readonly (readonly (number | null)[])[] | undefined;
  if (geometry === undefined || !geometry.flat().every(Number.isFinite)) return undefined;
  const { boxes, read } = boxesOf(geometry as readonly (readonly number[])[]);
  const [left, top] = [Math.min(...boxes.map(({ x }) => x)), Math.min(...boxes.map(({ y }) => y))];
  const width = Math.max(...boxes.map((box) => box.x + box.width)) - left || 1;
  const height = Math.max(...boxes.map((box) => box.y + box.height)) - top || 1;
  const rects = boxes.map((box) => shape('rect', { class: 'box', ...box }));
  const view = { viewBox: `${left} ${top} ${width} ${height}`, class: 'boxes', role: 'img' };
  const drawing = shape('svg', { ...view, 'aria-label': `Boxes of ${boxes.length} positions` });
  drawing.append(...rects);
  const [right, bottom] = [left + width, top + height].map(number);
  const extent = `${number(left)} to ${right} across, ${number(top)} to ${bottom} down`;
  const caption = h('figcaption', { class: 'muted' }, `Boxes, read as ${read}; ${extent}.`);
  return {
    element: h('figure', null, drawing, caption),
    mark({ index }) {
      for (const [i, rect] of rects.entries()) rect.classList.toggle('chosen', i === index);
      drawing.append(rects[index]); // above the others
    },
  };
}

function shape(tag: 'svg' | 'rect', attributes: object): SVGElement {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}
