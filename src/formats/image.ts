/** PNG, JPEG and WebP files as RGB bytes, those that Pillow's `convert('RGB')` gives. */
import { LogitcaskError } from '../errors.ts';
import { imageType } from './image-type.ts';

export interface Pixels {
  readonly height: number;
  readonly width: number;
  readonly channels: 1 | 3;
  /** Rows from the top, pixels from the left, channels beside each other. */
  readonly values: Uint8Array;
}

const types: readonly (string | undefined)[] = ['image/png', 'image/jpeg', 'image/webp'];
/** 192 MiB as RGB. */
export const pixelsMax = 2 ** 26;

/**
 * Alpha is dropped; colour profiles and the orientation in EXIF are not applied. Throws
 * `source-unreadable`, `package-missing`.
 */
export async function decodeImage(bytes: Uint8Array, name: string): Promise<Pixels> {
  const { default: sharp } = await loadSharp();
  try {
    // by its first bytes: files are data of others, and no further decoder is given them
    const type = imageType(bytes);
    if (!types.includes(type)) throw new Error(`it is ${type ?? 'none by its first bytes'}`);
    const options = { failOn: 'error', ignoreIcc: true, limitInputPixels: pixelsMax } as const;
    const image = sharp(bytes, options);
    const { space } = await image.metadata();
    if (space === 'cmyk') throw new Error('its colours are CMYK');
    const raw = image.toColourspace('srgb').removeAlpha().raw({ depth: 'uchar' });
    const { data, info } = await raw.toBuffer({ resolveWithObject: true });
    return { height: info.height, width: info.width, channels: 3, values: data };
  } catch (cause) {
    const [reason] = (cause as Error).message.split(/:?\n/);
    const expected = `RGB or grey PNG, JPEG or WebP of at most ${pixelsMax} pixels`;
    const message = `capture: ${name} cannot be decoded (${reason}); give ${expected}`;
    throw new LogitcaskError('source-unreadable', message, { expected, got: name, cause });
  }
}

async function loadSharp() {
  try {
    const loaded = await import('sharp');
    // each thread of ours decodes one image at a time, and no image comes twice
    loaded.default.concurrency(1);
    loaded.default.cache(false);
    return loaded;
  } catch (cause) {
    const [reason] = (cause as Error).message.split('\n');
    const message = `capture: decoding images needs a package: npm install sharp (${reason})`;
    throw new LogitcaskError('package-missing', message, { expected: 'sharp', cause });
  }
}
