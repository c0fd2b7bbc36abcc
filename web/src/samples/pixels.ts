/** Pixels of a stored image: fetched from this server, decoded by the browser, drawn. */
import { getBlob } from '../api.ts';
import { h } from '../element.ts';
import type { Place, Size } from './places.ts';
import { unturned } from './unturned.ts';

/** What is drawn is at most so long: a canvas holds four bytes a pixel. */
const sideMax = 2048;
/** Smaller images are drawn with their pixels as squares. */
const smallSide = 128;

/**
 * The image, until the signal aborts; null where it is none that browsers draw. The token goes
 * along, which an `img` element could not do.
 */
export async function loadPixels(path: string, signal: AbortSignal): Promise<ImageBitmap | null> {
  const blob = await getBlob(path, signal);
  if (!blob.type.startsWith('image/')) return null;
  const bitmap = await createImageBitmap(await unturned(blob)).catch(() => null);
  signal.addEventListener('abort', () => bitmap?.close());
  return bitmap;
}

/** Part of an image, at its own size or smaller, as the teacher saw it but for colours. */
export function pixels(
  image: ImageBitmap,
  { x, y, width, height, flipped }: Place,
  attributes: Readonly<Record<string, string>>,
  side = sideMax,
): HTMLCanvasElement {
  const scale = Math.min(1, side / Math.max(width, height));
  const [across, down] = [width, height].map((length) => Math.max(1, Math.round(length * scale)));
  const kind = Math.max(width, height) < smallSide ? 'pixels small' : 'pixels';
  const canvas = h('canvas', { width: across, height: down, class: kind, ...attributes });
  const context = canvas.getContext('2d');
  if (flipped) context?.setTransform(-1, 0, 0, 1, across, 0);
  context?.drawImage(image, x, y, width, height, 0, 0, across, down);
  return canvas;
}

export const wholeOf = ({ width, height }: Size): Place => {
  return { x: 0, y: 0, width, height, flipped: false };
};
