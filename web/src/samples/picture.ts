/** Boxes of an image's positions: over its pixels where they are there, or on an empty ground. */
import { h } from '../element.ts';
import { count, number, plural } from '../format.ts';
import type { ImageRow, ModelInput } from '../types.ts';
import { type Box, boxesOf } from './boxes.ts';
import { pixels, wholeOf } from './pixels.ts';
import { boxNumbers, type Places, placesOf } from './places.ts';
import type { Picture } from './row-view.ts';

/** Undefined where there are no boxes, or some are no numbers. */
export function boxesPicture(row: ImageRow): Picture | undefined {
  const geometry = boxNumbers(row);
  if (geometry === undefined) return undefined;
  const { boxes, read } = boxesOf(geometry);
  const [left, top] = [Math.min(...boxes.map(({ x }) => x)), Math.min(...boxes.map(({ y }) => y))];
  const width = Math.max(...boxes.map((box) => box.x + box.width)) - left || 1;
  const height = Math.max(...boxes.map((box) => box.y + box.height)) - top || 1;
  const { drawing, mark } = drawn(boxes, [left, top, width, height], 'Boxes');
  const [right, bottom] = [left + width, top + height].map(number);
  const extent = `${number(left)} to ${right} across, ${number(top)} to ${bottom} down`;
  const caption = h('figcaption', { class: 'muted' }, `Boxes, read as ${read}; ${extent}.`);
  return { element: h('figure', null, drawing, caption), mark: ({ index }) => mark(index) };
}

const names = { box: 'Boxes', crop: 'Crops' } as const;

/** The image scaled to fit, what its positions are of it, and beside it the chosen one. */
export function imagePicture(row: ImageRow, image: ImageBitmap, input: ModelInput | null): Picture {
  const { width, height } = image;
  const size = `${count(width)} × ${count(height)} pixels`;
  const ground = pixels(image, wholeOf(image), { role: 'img', 'aria-label': `Image, ${size}` });
  const scene = h('div', { class: 'scene' }, ground);
  const found = placesOf(row, image, input);
  if (found === undefined) {
    const caption = h('figcaption', { class: 'muted' }, `The image, ${size}.`);
    return { element: h('figure', null, scene, caption), mark() {} };
  }
  const name = names[found.kind];
  const { drawing, mark } = drawn(found.places, [0, 0, width, height], name);
  scene.append(drawing);
  const close = h('figure', { class: 'close' });
  const caption = h('figcaption', { class: 'muted' }, `The image, ${size}. ${name} ${found.read}.`);
  return {
    element: h('div', { class: 'picture' }, h('figure', null, scene, caption), close),
    mark({ index }) {
      mark(index);
      close.replaceChildren(...closeUp(image, found, index));
    },
    icon(index) {
      if (found.kind === 'box') return undefined;
      return pixels(image, found.places[index], { 'aria-hidden': 'true' }, iconSide);
    },
  };
}

const closeSide = 512;
const iconSide = 96;

/** The chosen part alone; nothing of a box without an area. */
function closeUp(image: ImageBitmap, { places, kind }: Places, index: number): HTMLElement[] {
  const place = places[index];
  if (!(place.width > 0 && place.height > 0)) return [];
  const what = kind === 'box' ? `Position ${index}: its box` : `Position ${index}: its crop`;
  const label = place.flipped ? `${what}, flipped left to right` : what;
  const note = kind === 'box' ? '.' : ', before colours and mixing.';
  return [
    pixels(image, place, { role: 'img', 'aria-label': label }, closeSide),
    h('figcaption', { class: 'muted' }, label + note),
  ];
}

function drawn(boxes: readonly Box[], viewBox: readonly number[], name: string) {
  const rects = boxes.map(({ x, y, width, height }) =>
    shape('rect', { class: 'box', x, y, width, height }),
  );
  const view = { viewBox: viewBox.join(' '), class: 'boxes', role: 'img' };
  const label = `${name} of ${plural(boxes.length, 'position')}`;
  const drawing = shape('svg', { ...view, 'aria-label': label });
  drawing.append(...rects);
  const mark = (index: number) => {
    for (const [i, rect] of rects.entries()) rect.classList.toggle('chosen', i === index);
    drawing.append(rects[index]); // above the others
  };
  return { drawing, mark };
}

function shape(tag: 'svg' | 'rect', attributes: object): SVGElement {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}
