/** GET …/snapshots/{snap}/tokens?ids: texts of tokens by the own tokenizer, or class names. */
import { snapshotParams, tokensQuery, tokensReply } from '../../../schemas/http.ts';
import type { LabelSpace, Manifest } from '../../../schemas/manifest.ts';
import { labelSpaceIn } from '../../encode/table.ts';
import { LogitcaskError } from '../../errors.ts';
import type { Route } from './route.ts';

export const tokens: Route = (server, context) => {
  server.get(
    '/v1/datasets/:dataset/snapshots/:snapshot/tokens',
    {
      config: { scope: 'read' },
      schema: {
        params: snapshotParams,
        querystring: tokensQuery,
        response: { 200: tokensReply },
      },
    },
    async (request, reply) => {
      const { dataset, snapshot } = request.params;
      const { ids, set } = request.query;
      const { id, manifest } = await context.snapshot(dataset, snapshot);
      const { kind, size, names } = spaceOf(manifest, set);
      const outside = ids.find((token) => token >= size);
      if (outside !== undefined) {
        const message = `request: token ${outside} lies outside the label space of ${size}`;
        throw new LogitcaskError('token-out-of-range', message, {
          expected: `below ${size}`,
          got: outside,
        });
      }
      reply.header('logitcask-snapshot', id).header('cache-control', 'no-cache');
      if (kind === 'classes') return { texts: ids.map((index) => names?.[index] ?? null) };
      const textOf = await context.texts.of(manifest);
      return { texts: ids.map((token) => textOf?.(token) ?? null) };
    },
  );
};

function spaceOf({ label_space, target_sets }: Manifest, name: string | undefined): LabelSpace {
  if (name === undefined) return label_space;
  const set = target_sets.find((one) => one.name === name);
  if (set !== undefined) return labelSpaceIn(set, label_space);
  const known = target_sets.map((one) => one.name);
  const message = `request: the snapshot has no target set ${name}`;
  throw new LogitcaskError('request-invalid', message, { expected: known, got: name });
}
