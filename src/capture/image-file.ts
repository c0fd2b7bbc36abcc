/** The files that a list of images names: read whole, with their digests, and decoded. */
import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { LogitcaskError } from '../errors.ts';
import { sha256Hex } from '../formats/canonical.ts';
import { decodeImage, type Pixels } from '../formats/image.ts';
import { checkNpySize, type NpyHeader, parseNpyHeader } from '../formats/npy.ts';

export interface ImageFile {
  readonly bytes: Buffer;
  /** SHA-256 (hex). */
  readonly sha256: string;
  /** `file:` address. */
  readonly uri: string;
  /** An array `.npy` may hold several pictures: the crops of an image. */
  readonly pictures: number;
}

const fileBytesMax = 256 * 1024 * 1024;

/** `uri` is a `file:` address or a path from the list's folder. Throws `source-unreadable`. */
export async function readImage(uri: string, list: string): Promise<ImageFile> {
  const refuse = (what: string, cause?: unknown) => {
    const message = `capture: image ${uri} of ${list} ${what}; correct the list or restore it`;
    const expected = `a file of at most ${fileBytesMax} bytes`;
    return new LogitcaskError('source-unreadable', message, { expected, got: uri, cause });
  };
  try {
    const isOther = /^[a-z][a-z0-9+.-]*:/i.test(uri) && !uri.startsWith('file:');
    if (isOther) throw refuse('is at no `file:` address');
    const isUrl = uri.startsWith('file:');
    const path = isUrl ? fileURLToPath(uri) : resolve(dirname(list), uri);
    // a pipe or a device might never end
    const found = await stat(path);
    if (!found.isFile()) throw refuse('is no file');
    if (found.size > fileBytesMax) throw refuse(`has ${found.size} bytes`);
    const bytes = await readFile(path);
    const [pictures] = headerOf(bytes, uri)?.shape.slice(-4, -3) ?? [];
    return {
      bytes,
      sha256: sha256Hex(bytes),
      uri: isUrl ? uri : pathToFileURL(path).href,
      pictures: pictures ?? 1,
    };
  } catch (cause) {
    if (cause instanceof LogitcaskError) throw cause;
    throw refuse(`cannot be read (${(cause as NodeJS.ErrnoException).code})`, cause);
  }
}

/** RGB pictures, at least one. Throws `source-unreadable`, `package-missing`. */
export async function picturesOf(bytes: Buffer, name: string): Promise<Pixels[]> {
  const header = headerOf(bytes, name);
  if (header === undefined) return [await decodeImage(bytes, name)];
  const { shape, dataOffset } = header;
  const [height, width, channels = 1] = shape.length === 4 ? shape.slice(1) : shape;
  const pixels = height * width;
  return Array.from({ length: shape.length === 4 ? shape[0] : 1 }, (_, k) => {
    const at = dataOffset + k * pixels * channels;
    const own = bytes.subarray(at, at + pixels * channels);
    const values = channels === 3 ? own : Uint8Array.from({ length: 3 * pixels }, greyIn(own));
    return { height, width, channels: 3, values };
  });
}

const greyIn = (grey: Uint8Array) => (_: unknown, i: number) => grey[Math.floor(i / 3)];

/** Of an array of bytes [H, W], [H, W, channels] or [pictures, H, W, channels], or of no array. */
function headerOf(bytes: Buffer, name: string): NpyHeader | undefined {
  if (bytes.toString('latin1', 0, 6) !== '\x93NUMPY') return undefined;
  const header = parseNpyHeader(bytes, name);
  checkNpySize(header, bytes.length, name);
  const { shape, type } = header;
  const [channels = 1] = shape.slice(2).slice(-1);
  const isImage = shape.length >= 2 && shape.length <= 4 && !shape.includes(0);
  if (type === 'u1' && isImage && [1, 3].includes(channels)) return header;
  const expected = 'uint8 [H, W], [H, W, 1 or 3] or [crops, H, W, 1 or 3]';
  const message = `capture: ${name} holds ${type} [${shape}], expected ${expected}; save it again`;
  throw new LogitcaskError('source-unreadable', message, { expected, got: `${type} [${shape}]` });
}
