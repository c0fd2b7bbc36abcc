/** GET, HEAD …/shards/{name}: any file of a manifest, whole or one range of it. */
import { Readable } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import { fileParams } from '../../../schemas/http.ts';
import { LogitcaskError } from '../../errors.ts';
import { filePath } from '../../shard/names.ts';
import { shardDamaged } from '../../shard/shard-file.ts';
import { resolveSnapshot } from '../../shard/snapshot.ts';
import type { Store } from '../../store/store.ts';
import { type ByteRange, isFresh, rangeOf } from '../http-cache.ts';
import { faultOf } from '../log.ts';
import type { Route } from './route.ts';

const pieceBytes = 1024 * 1024;

export const shards: Route = (server, { store, integrity }) => {
  server.get(
    '/v1/datasets/:dataset/snapshots/:snapshot/shards/:name',
    { config: { scope: 'read' }, schema: { params: fileParams } },
    async (request, reply) => {
      const { dataset, snapshot, name } = request.params;
      const { id, manifest } = await resolveSnapshot(store, dataset, snapshot);
      const file = manifest.files.find((candidate) => candidate.name === name);
      if (file === undefined) {
        const message = `snapshot: the manifest lists no file ${name}`;
        throw new LogitcaskError('file-not-found', message, { got: name });
      }
      const etag = `"${file.sha256}"`;
      const fresh = isFresh(request, reply, { etag, named: snapshot !== id });
      reply.header('accept-ranges', 'bytes').type('application/octet-stream');
      const digest = Buffer.from(file.sha256, 'hex').toString('base64');
      reply.header('repr-digest', `sha-256=:${digest}:`);
      if (fresh) return reply.code(304).send();
      await integrity.check(dataset, file);
      const path = filePath(dataset, name);
      const range = partOf(request, reply, { bytes: file.bytes, etag });
      const whole = range ?? { from: 0, to: file.bytes };
      if (range !== undefined) reply.code(206);
      reply.header('content-length', whole.to - whole.from);
      // the framework answers HEAD with the length of what is sent, unless that is a stream
      const body = request.method === 'HEAD' ? [] : pieces(store, path, { ...whole, request });
      return reply.send(Readable.from(body, { objectMode: false }));
    },
  );
};

function partOf(
  request: Parameters<typeof rangeOf>[0],
  reply: Parameters<typeof isFresh>[1],
  file: { bytes: number; etag: string },
): ByteRange | undefined {
  try {
    const range = rangeOf(request, file);
    if (range !== undefined) {
      reply.header('content-range', `bytes ${range.from}-${range.to - 1}/${file.bytes}`);
    }
    return range;
  } catch (error) {
    reply.header('content-range', `bytes */${file.bytes}`);
    throw error;
  }
}

/**
 * Positional reads of bounded size, made as the client takes them; a failure destroys the socket.
 */
async function* pieces(
  store: Store,
  path: string,
  { from, to, request }: ByteRange & { request: FastifyRequest },
) {
  for (let at = from; at < to; at += pieceBytes) {
    yield await store.read(path, at, Math.min(pieceBytes, to - at)).catch((thrown) => {
      const isCut = thrown.code === 'store-truncated';
      const error = isCut ? shardDamaged(path, thrown.expected, thrown.got) : thrown;
      request.log.error({ request_id: request.id, error: faultOf(error) }, 'file broken off');
      throw error;
    });
  }
}
