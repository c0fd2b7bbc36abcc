/** POST /v1/datasets/{ds}/uploads and below: teacher workers push what they scored. */
import { once } from 'node:events';
import type { FastifyReply, FastifyRequest, RequestPayload } from 'fastify';
import { sha256Pattern } from '../../../schemas/common.ts';
import { datasetParams } from '../../../schemas/http.ts';
import {
  commitReply,
  commitRequest,
  uploadParams,
  uploadReply,
  uploadRequest,
  uploadShard,
  uploadShardParams,
} from '../../../schemas/upload.ts';
import { LogitcaskError } from '../../errors.ts';
import { createTurns } from '../turns.ts';
import type { Precondition } from '../uploads.ts';
import type { Route, Server } from './route.ts';

/** Bodies of shards in memory at a time. */
const bodiesMax = 4;
const path = '/v1/datasets/:dataset/uploads';
const config = { scope: 'write' } as const;

export const uploads: Route = (server, context) => {
  const { uploads, config: settings } = context;
  if (uploads === undefined) return;
  const { upload_bytes_max, commit_timeout_ms } = settings.limits;
  server.post(
    path,
    {
      config,
      schema: {
        params: datasetParams,
        body: uploadRequest,
        response: { 200: uploadReply, 201: uploadReply },
      },
    },
    async (request, reply) => {
      const { created, reply: body } = await uploads.open(request.params.dataset, request.body);
      return reply.code(created ? 201 : 200).send(body);
    },
  );
  server.get(
    `${path}/:upload`,
    { config, schema: { params: uploadParams, response: { 200: uploadReply } } },
    async (request) => uploads.state(request.params),
  );
  server.put(
    `${path}/:upload/shards/:shard`,
    {
      config,
      bodyLimit: upload_bytes_max,
      preParsing: oneOfFew(),
      schema: { params: uploadShardParams, response: { 200: uploadShard } },
    },
    async (request) => {
      const { shard: number, ...name } = request.params;
      const digest = digestOf(request.headers['content-digest']);
      return uploads.put(name, { number, digest, body: bodyOf(request) });
    },
  );
  server.post(
    `${path}/:upload/commit`,
    {
      config: { ...config, timeoutMs: commit_timeout_ms },
      schema: { params: uploadParams, body: commitRequest, response: { 200: commitReply } },
    },
    async (request) => {
      const precondition = preconditionOf(request.headers);
      return uploads.commit(request.params, { precondition, shards: request.body?.shards });
    },
  );
  addAbort(server, context);
};

const addAbort: Route = (server: Server, { uploads }) => {
  server.delete(
    `${path}/:upload`,
    { config, schema: { params: uploadParams } },
    async (request, reply) => {
      await uploads?.abort(request.params);
      return reply.code(204).send();
    },
  );
};

/** Lets a few bodies in at a time; the others wait unread, under the limit of time on requests. */
function oneOfFew() {
  const turns = createTurns(bodiesMax);
  return (
    _: FastifyRequest,
    { raw }: FastifyReply,
    payload: RequestPayload,
    done: (error: null, payload: RequestPayload) => void,
  ) => {
    void turns.take(async () => {
      if (raw.closed || raw.destroyed) return;
      done(null, payload);
      await once(raw, 'close');
    });
  };
}

/** SHA-256 of a `Content-Digest` (RFC 9530). */
function digestOf(header: string | string[] | undefined): Buffer {
  const found = /(?:^|,)\s*sha-256=:([A-Za-z0-9+/]{43}=):/.exec(String(header ?? ''))?.[1];
  if (found !== undefined) return Buffer.from(found, 'base64');
  const message = 'request: a shard needs the header Content-Digest with its SHA-256';
  const expected = 'sha-256=:<base64>:';
  throw new LogitcaskError('request-invalid', message, { expected, got: header });
}

function bodyOf({ body }: FastifyRequest<{ Params: unknown }>): Buffer {
  if (Buffer.isBuffer(body)) return body;
  const message = 'request: a shard is an Arrow stream; name it so in Content-Type';
  const expected = 'application/vnd.apache.arrow.stream';
  throw new LogitcaskError('request-invalid', message, { expected });
}

function preconditionOf(headers: FastifyRequest['headers']): Precondition {
  const { 'if-match': match, 'if-none-match': none } = headers;
  if (match === undefined && none === '*') return 'none';
  if (match === '*') return 'any';
  const head = /^"([^"]*)"$/.exec(match ?? '')?.[1] ?? '';
  if (sha256Pattern.test(head)) return { head };
  const message = 'request: a commit names the snapshot that it adds to, in If-Match';
  const expected = 'If-Match: "<digest>" or *, or If-None-Match: *';
  throw new LogitcaskError('request-invalid', message, { expected, got: match ?? none });
}
