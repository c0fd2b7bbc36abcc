/** From what a model saw of an image back to the image: its cut and its border undone. */
import type { ModelInput } from '../types.ts';
import type { Box } from './boxes.ts';

interface Size {
  readonly width: number;
  readonly height: number;
}

/** A box in pixels of the model's input → in pixels of the image. */
export function onImage(box: Box, image: Size, input: ModelInput): Box {
  const whole = wholeOf(image, input);
  const [across, down] = [image.width / whole.width, image.height / whole.height];
  return {
    x: (box.x - middleOf(whole.width, input.width)) * across,
    y: (box.y - middleOf(whole.height, input.height)) * down,
    width: box.width * across,
    height: box.height * down,
  };
}

/** The size that the whole image had, docs/vision.md. */
function wholeOf({ width, height }: Size, input: ModelInput): Size {
  const { resize, shortest_edge: edge } = input;
  if (resize === 'stretch') return input;
  if (resize === 'letterbox') {
    const factor = Math.min(input.height / height, input.width / width);
    const side = (length: number) => Math.max(1, Math.round(length * factor));
    return { width: side(width), height: side(height) };
  }
  const isByHeight =
    edge === undefined ? input.height * width >= input.width * height : height < width;
  const by = edge ?? (isByHeight ? input.height : input.width);
  return isByHeight
    ? { height: by, width: Math.trunc((by * width) / height) }
    : { height: Math.trunc((by * height) / width), width: by };
}

/** Where the image begins in the input: below 0 where it is cut. */
function middleOf(length: number, input: number): number {
  if (input >= length) return Math.floor((input - length) / 2);
  const half = (length - input) / 2;
  return -(Number.isInteger(half) ? half : 2 * Math.round(half / 2));
}
