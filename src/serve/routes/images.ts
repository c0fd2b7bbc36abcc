/**
 * GET, HEAD …/images/{sha256}: a stored image that the snapshot names, proved before it is sent.
 * Nothing else is ever read: not the address that an image came from.
 */
import type { FastifyReply } from 'fastify';
import { imageParams } from '../../../schemas/http.ts';
import type { Manifest } from '../../../schemas/manifest.ts';
import { LogitcaskError } from '../../errors.ts';
import { sha256Hex } from '../../formats/canonical.ts';
import { imageType } from '../../formats/image-type.ts';
import { imagePath } from '../../shard/names.ts';
import {
  findImage,
  imageDamaged,
  imagesIndex,
  type StoredImage,
} from '../../shard/stored-images.ts';
import type { Store } from '../../store/store.ts';
import { isFresh } from '../http-cache.ts';
import { sendBody } from '../replies.ts';
import type { Route } from './route.ts';

/** It is held in memory while it is proved and sent. */
const imageBytesMax = 64 * 1024 * 1024;

export const images: Route = (server, context) => {
  const { store, replies } = context;
  server.get(
    '/v1/datasets/:dataset/snapshots/:snapshot/images/:image',
    { config: { scope: 'read' }, schema: { params: imageParams } },
    async (request, reply) => {
      const { dataset, snapshot, image: sha256 } = request.params;
      const { id, manifest } = await context.snapshot(dataset, snapshot);
      const index = imagesIndex(manifest);
      if (index === undefined) throw notStored(sha256);
      await context.integrity.check(dataset, index);
      const image = await namedImage(store, manifest, sha256);
      guard(reply);
      if (isFresh(request, reply, { etag: `"${sha256}"`, named: snapshot !== id })) {
        return reply.code(304).send();
      }
      const share = await replies.enter();
      try {
        share.hold(image.bytes);
        const bytes = await provedBytes(store, dataset, image);
        const type = imageType(bytes);
        reply.type(type ?? 'application/octet-stream');
        if (type === undefined) {
          reply.header('content-disposition', `attachment; filename="${sha256}"`);
        }
        return sendBody(request, reply, {
          body: { pieces: [bytes], bytes: bytes.length },
          share,
          replies,
        });
      } catch (error) {
        share.release();
        throw error;
      }
    },
  );
};

async function namedImage(store: Store, manifest: Manifest, sha256: string): Promise<StoredImage> {
  const { image } = await findImage(store, manifest, sha256);
  if (image?.sha256 !== sha256) {
    const message = `image: the snapshot names no image ${sha256}; take a digest of its rows`;
    throw new LogitcaskError('image-not-found', message, { got: sha256 });
  }
  if (image.bytes <= imageBytesMax) return image;
  const message = `image: ${sha256} is too large to be sent; read it where it was`;
  const [expected, got] = [`at most ${imageBytesMax} bytes`, `${image.bytes} bytes`];
  throw new LogitcaskError('not-acceptable', message, { expected, got });
}

function notStored(sha256: string): LogitcaskError {
  const message =
    'image: the images of this snapshot are not stored, only their addresses and digests; ' +
    'build it with --store-images';
  return new LogitcaskError('image-not-found', message, { got: sha256 });
}

async function provedBytes(
  store: Store,
  dataset: string,
  { sha256, bytes: size }: StoredImage,
): Promise<Buffer> {
  const path = imagePath(dataset, sha256);
  const found = await store.size(path);
  if (found !== size) {
    throw imageDamaged(sha256, found === undefined ? 'no file' : `${found} bytes of ${size}`);
  }
  const bytes = await store.readAll(path, size);
  const got = sha256Hex(bytes);
  if (got !== sha256) throw imageDamaged(sha256, got);
  return bytes;
}

/** What users made is drawn as an image or kept as a file, and runs nothing: also as a page. */
function guard(reply: FastifyReply): void {
  reply
    .header('content-security-policy', "default-src 'none'; sandbox; frame-ancestors 'none'")
    .header('x-content-type-options', 'nosniff')
    .header('cross-origin-resource-policy', 'same-origin')
    .header('referrer-policy', 'no-referrer');
}
