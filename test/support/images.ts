/** Image files, and vision sources of them with scores drawn at random. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { crc32, deflateSync } from 'node:zlib';
import { sha256Hex } from '../../src/formats/canonical.ts';
import { npy, random } from './dump.ts';

/** A PNG of 8-bit RGB pixels, row by row. */
export function png(width: number, height: number, rgb: Uint8Array): Buffer {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8);
  const rows = Array.from({ length: height }, (_, y) =>
    Buffer.concat([Buffer.of(0), rgb.subarray(3 * width * y, 3 * width * (y + 1))]),
  );
  const chunks = [chunk('IHDR', head), chunk('IDAT', deflateSync(Buffer.concat(rows)))];
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    ...chunks,
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, check]);
}

/** A sample: the bytes of its image, and what its line says beside the reference. */
export interface ImageSample {
  readonly bytes: Uint8Array;
  readonly positions?: number;
  readonly [key: string]: unknown;
}

export interface ImageSource {
  readonly source: Record<string, unknown>;
  /** Where the image of each sample lies. */
  readonly paths: readonly string[];
  readonly digests: readonly string[];
}

/** Writes images, their list, and scores of `classes` at every position, under a name. */
export function writeImages(
  folder: string,
  name: string,
  { samples, classes = 4 }: { samples: readonly ImageSample[]; classes?: number },
): ImageSource {
  const own = join(folder, name);
  mkdirSync(own, { recursive: true });
  const paths = samples.map((_, i) => join(own, `${i}.image`));
  const digests = samples.map(({ bytes }) => sha256Hex(Buffer.from(bytes)));
  let count = 0;
  const lines = samples.map(({ bytes, positions = 1, ...line }, i) => {
    writeFileSync(paths[i], bytes);
    count += positions;
    return JSON.stringify({
      uri: pathToFileURL(paths[i]).href,
      sha256: digests[i],
      positions,
      ...line,
    });
  });
  const [images, scores] = [join(own, 'images.jsonl'), join(own, 'scores.npy')];
  writeFileSync(images, `${lines.join('\n')}\n`);
  const next = random(7);
  const logits = Float32Array.from({ length: count * classes }, () => 8 * next() - 4);
  writeFileSync(scores, npy('<f4', [count, classes], new Uint8Array(logits.buffer)));
  return { source: { type: 'vision', images, scores, store_images: true }, paths, digests };
}
