/** GET …/rows, …/rows/{sample_id}: samples by ordinal or id, as JSON, NDJSON or Arrow. */
import type { FastifyReply } from 'fastify';
import { batchRequest } from '../../../schemas/batch.ts';
import { type RowsQuery, rowsQuery, sampleParams, snapshotParams } from '../../../schemas/http.ts';
import { LogitcaskError } from '../../errors.ts';
import type { SnapshotReader } from '../../shard/reader.ts';
import { buildStream } from '../batch.ts';
import type { ServeContext } from '../context.ts';
import { readJsonRows } from '../json-rows.ts';
import { arrowType, negotiate } from '../negotiate.ts';
import type { Route } from './route.ts';

const json = 'application/json';
const ndjson = 'application/x-ndjson';

interface Asked {
  readonly accept: string | undefined;
  readonly ordinals: readonly number[];
  readonly query: Pick<RowsQuery, 'columns' | 'layout'>;
}

export const rows: Route = (server, context) => {
  server.get(
    '/v1/datasets/:dataset/snapshots/:snapshot/rows',
    { config: { scope: 'read' }, schema: { params: snapshotParams, querystring: rowsQuery } },
    async (request, reply) => {
      const reader = await context.snapshot(request.params.dataset, request.params.snapshot);
      const { offset, length } = request.query;
      const { samples } = reader.manifest.totals;
      const count = Math.max(0, Math.min(length, samples - offset));
      const ordinals = Array.from({ length: count }, (_, i) => offset + i);
      const { accept } = request.headers;
      const body = await represent(context, reader, { accept, ordinals, query: request.query });
      return send(reply, body);
    },
  );
  server.get(
    '/v1/datasets/:dataset/snapshots/:snapshot/rows/:sample',
    { config: { scope: 'read' }, schema: { params: sampleParams, querystring: rowsQuery } },
    async (request, reply) => {
      const { dataset, snapshot, sample } = request.params;
      const reader = await context.snapshot(dataset, snapshot);
      const ordinal = await reader.find(Buffer.from(sample, 'hex'));
      if (ordinal === undefined) {
        const message = `snapshot: there is no sample ${sample}`;
        throw new LogitcaskError('sample-not-found', message, { got: sample });
      }
      const { accept } = request.headers;
      const asked = { accept, ordinals: [ordinal], query: request.query };
      const body = await represent(context, reader, asked);
      return send(reply, body);
    },
  );
};

interface Body {
  readonly type: string;
  readonly bytes: Buffer;
}

function send(reply: FastifyReply, { type, bytes }: Body): FastifyReply {
  reply.header('vary', 'Accept, Accept-Encoding').header('cache-control', 'no-cache');
  return reply.type(type).send(bytes);
}

async function represent(
  context: ServeContext,
  reader: SnapshotReader,
  { accept, ordinals, query }: Asked,
): Promise<Body> {
  const type = negotiate(accept, [json, ndjson, arrowType]);
  if (type === arrowType) {
    const prepared = context.prepared([reader], batchRequest.parse({ layout: query.layout }));
    const { pieces } = await buildStream(context, { prepared, rows: { ordinals } });
    return { type, bytes: Buffer.concat(pieces) };
  }
  context.integrity.refuseQuarantined(reader.manifest, ordinals);
  const { columns } = query;
  const textOf = columns.includes('text') ? await context.texts.of(reader.manifest) : undefined;
  const found = await readJsonRows(reader, ordinals, { columns, textOf });
  const text =
    type === ndjson
      ? found.map((row) => `${JSON.stringify(row)}\n`).join('')
      : JSON.stringify({ rows: found, total: reader.manifest.totals.samples });
  return { type: `${type}; charset=utf-8`, bytes: Buffer.from(text) };
}
