/** GET …/snapshots/{snap}/statistics: a snapshot at a glance, however many files it has. */
import {
  type AuditReport,
  type Statistics,
  statistics as statisticsReply,
} from '../../../schemas/audit.ts';
import { snapshotParams } from '../../../schemas/http.ts';
import { LogitcaskError } from '../../errors.ts';
import { findSnapshot, readTags, resolveSnapshot } from '../../shard/snapshot.ts';
import { createLru } from '../../store/lru.ts';
import { factsOf, type SnapshotFacts } from '../statistics.ts';
import type { Route } from './route.ts';

const factsMax = 1024;

export const statistics: Route = (server, { store, audits }) => {
  const known = createLru<SnapshotFacts>(factsMax);
  const facts = async (dataset: string, id: string) => {
    const key = `${dataset}/${id}`;
    const held = known.get(key);
    if (held !== undefined) return held;
    const made = factsOf(await resolveSnapshot(store, dataset, id));
    known.set(key, made, 1);
    return made;
  };
  server.get(
    '/v1/datasets/:dataset/snapshots/:snapshot/statistics',
    {
      config: { scope: 'read' },
      schema: { params: snapshotParams, response: { 200: statisticsReply } },
    },
    async (request, reply) => {
      const { dataset, snapshot: ref } = request.params;
      const snapshot = await findSnapshot(store, dataset, ref);
      const tags = Object.entries(await readTags(store, dataset));
      const report = await audits.last({ dataset, snapshot }).catch(unreadable);
      reply.header('logitcask-snapshot', snapshot).header('cache-control', 'no-cache');
      return {
        ...(await facts(dataset, snapshot)),
        tags: tags.filter(([, id]) => id === snapshot).map(([tag]) => tag),
        audit: report === undefined ? null : glance(report),
      };
    },
  );
};

/** The route of the audit says what is wrong with its file; the manifest tells all the rest. */
function unreadable(error: unknown): undefined {
  if (error instanceof LogitcaskError && error.code === 'manifest-invalid') return;
  throw error;
}

function glance({ partial, updated_ms, findings }: AuditReport): Statistics['audit'] {
  const of = (wanted: string) => findings.filter(({ severity }) => severity === wanted).length;
  return { partial, updated_ms, faults: of('fault'), warnings: of('warning') };
}
