/** The picture of an image's sample: boxes at once, and the pixels as soon as they are there. */
import { h } from '../element.ts';
import { problemBox } from '../parts/problem.ts';
import type { ImageRow, ModelInput } from '../types.ts';
import { boxesPicture, imagePicture } from './picture.ts';
import { loadPixels } from './pixels.ts';
import type { Position } from './position.ts';
import type { Picture } from './row-view.ts';

export interface StoredPicture {
  readonly row: ImageRow;
  /** Whether the snapshot's images are stored, and the address of the snapshot. */
  readonly isStored: boolean;
  /** What the boxes are of, where a model gave them. */
  readonly input: ModelInput | null;
  readonly api: string;
  readonly signal: AbortSignal;
  /** What stands on a position's button, once there is something. */
  onIcons(icon: NonNullable<Picture['icon']>): void;
}

export function storedPicture(stored: StoredPicture): Picture {
  const { row, isStored, input, api, signal, onIcons } = stored;
  let shown: Picture | undefined = boxesPicture(row);
  let chosen: Position | undefined;
  const note = h('p', { class: 'muted' });
  const element = h('div', { class: 'of-image' }, shown?.element, note);
  const load = async () => {
    const image = await loadPixels(`${api}/images/${row.image.sha256}`, signal);
    if (signal.aborted) return;
    if (image === null) {
      note.textContent = 'The image is stored, but no PNG, JPEG, WebP or GIF that can be drawn.';
      return;
    }
    shown = imagePicture(row, image, input);
    element.replaceChildren(shown.element);
    if (chosen !== undefined) shown.mark(chosen);
    if (shown.icon !== undefined) onIcons(shown.icon);
  };
  if (isStored) {
    load().catch((error) => {
      if (!signal.aborted) note.replaceWith(problemBox(error));
    });
  } else {
    const flag = h('code', null, '--store-images');
    note.append('The image is not stored: build with ', flag, ' to see it here.');
  }
  return {
    element,
    mark(position) {
      chosen = position;
      shown?.mark(position);
    },
  };
}
