/** Where the positions of an image lie on its pixels: pure, so that it can be tested. */
import type { ImageRow, ModelInput } from '../types.ts';
import { type Box, boxesOf } from './boxes.ts';
import { onImage } from './model-input.ts';

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** A part of the image, in pixels from its top left corner. */
export interface Place extends Box {
  /** The teacher saw it with left and right exchanged. */
  readonly flipped: boolean;
}

export interface Places {
  readonly places: readonly Place[];
  readonly kind: 'box' | 'crop';
  /** How the stored numbers were read. */
  readonly read: string;
}

/**
 * Boxes, or crops by stored parameters; undefined where nothing says where a position lies. Boxes
 * that a model gave are of its input.
 */
export function placesOf(
  row: ImageRow,
  size: Size,
  input: ModelInput | null = null,
): Places | undefined {
  const boxes = boxNumbers(row);
  return boxes === undefined ? cropPlaces(row, size) : boxPlaces(boxes, size, input);
}

/** The geometry; undefined where there is none, or some of it is no numbers. */
export function boxNumbers({ inputs }: ImageRow): readonly (readonly number[])[] | undefined {
  const geometry = inputs.geometry as readonly (readonly (number | null)[])[] | undefined;
  if (geometry === undefined || !geometry.flat().every(Number.isFinite)) return undefined;
  return geometry as readonly (readonly number[])[];
}

/** Where nothing goes beyond 1 the numbers are shares of the image, or input, else pixels. */
function boxPlaces(
  geometry: readonly (readonly number[])[],
  size: Size,
  input: ModelInput | null,
): Places {
  const { boxes, read } = boxesOf(geometry);
  const isShare = boxes.every(
    ({ x, y, width, height }) => x >= 0 && y >= 0 && x + width <= 1 && y + height <= 1,
  );
  const of = input ?? size;
  const [across, down] = isShare ? [of.width, of.height] : [1, 1];
  const places = boxes.map(({ x, y, width, height }) => {
    const [left, top] = [x * across, y * down];
    const box = { x: left, y: top, width: width * across, height: height * down };
    return { ...(input === null ? box : onImage(box, size, input)), flipped: false };
  });
  const model = input && `the model’s input (${input.width} × ${input.height}, ${input.resize})`;
  const unit = isShare
    ? `shares of ${model ?? 'the image'}`
    : `pixels${model ? ` of ${model}` : ''}`;
  return { places, kind: 'box', read: `read as ${read}, in ${unit}` };
}

const cropSides = ['left', 'top', 'width', 'height'] as const;

/** Crops under the names of docs/augmentation.md; those drawn for another size mean nothing. */
function cropPlaces({ inputs, mask }: ImageRow, size: Size): Places | undefined {
  const values = (name: string) => {
    const found = inputs[`augmentation_${name}`] as readonly (number | string | null)[] | undefined;
    return found?.map(Number);
  };
  const [left, top, width, height] = cropSides.map(values);
  if (!left || !top || !width || !height) return undefined;
  const [fromWidth, fromHeight, flip] = [
    values('from_width'),
    values('from_height'),
    values('flip'),
  ];
  const isOther =
    fromWidth?.some((from) => from !== size.width) ||
    fromHeight?.some((from) => from !== size.height);
  if (isOther || !mask.every((_, i) => width[i] > 0 && height[i] > 0)) return undefined;
  const places = mask.map((_, i) => ({
    x: left[i],
    y: top[i],
    width: width[i],
    height: height[i],
    flipped: (flip?.[i] ?? 0) > 0,
  }));
  return { places, kind: 'crop', read: 'by their stored parameters, in pixels' };
}
