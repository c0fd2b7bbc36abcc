/** A list of images that a model will see: proved before, and each image when it is read. */
import { createHash } from 'node:crypto';
import { LogitcaskError } from '../errors.ts';
import { type ImageFile, readImage } from './image-file.ts';
import type { SampleInput } from './source.ts';
import { refuseLabels } from './vision-heads.ts';
import { type Images, readImages } from './vision-images.ts';

export interface KnownList {
  readonly positions: number;
  /** SHA-256 (hex) over the digests of the images, where the list does not say them. */
  readonly digest: string | null;
  /** 48 bits of each of those, 8 bytes an image in memory. */
  readonly digests: readonly number[];
}

const shortDigest = (sha256: string) => Number.parseInt(sha256.slice(0, 12), 16);

/** Reads a list before anything is scored; and images, once more, whose digests it does not say. */
export async function checkList(images: Images, width: number): Promise<KnownList> {
  const hash = createHash('sha256');
  const digests: number[] = [];
  let positions = 0;
  for await (const sample of readImages(images)) {
    refuseLabels(sample, width);
    positions += sample.mask.length;
    const { sha256, uri } = refOf(sample);
    if (sha256 !== undefined) continue;
    const found = await readImage(uri, images.file);
    hash.update(found.sha256);
    digests.push(shortDigest(found.sha256));
  }
  return { positions, digest: digests.length === 0 ? null : hash.digest('hex'), digests };
}

export function refOf({ image }: SampleInput): { readonly sha256?: string; readonly uri: string } {
  return JSON.parse(image?.ref ?? '');
}

/** The image's file, which is that of the list. Throws `source-mismatch`. */
export async function readProved(
  { images, known }: { readonly images: Images; readonly known: KnownList },
  sample: SampleInput,
): Promise<ImageFile> {
  const { sha256, uri } = refOf(sample);
  const file = await readImage(uri, images.file);
  const isSame =
    sha256 === undefined
      ? shortDigest(file.sha256) === known.digests[sample.ordinal]
      : sha256 === file.sha256;
  if (isSame) return file;
  const message = `capture: image ${uri} of ${images.file} has changed: its bytes have another `;
  const hint = 'SHA-256 than the list, or than at the start; restore it or list it anew';
  const details = { expected: sha256 ?? 'the bytes of the start', got: file.sha256 };
  throw new LogitcaskError('source-mismatch', message + hint, details);
}
