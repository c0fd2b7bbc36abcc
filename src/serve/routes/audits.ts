/** GET, POST …/snapshots/{snap}/audit: the report of a snapshot's audit, and asking for one. */
import { auditReport } from '../../../schemas/audit.ts';
import { auditAccepted, snapshotParams } from '../../../schemas/http.ts';
import { LogitcaskError } from '../../errors.ts';
import { findSnapshot } from '../../shard/snapshot.ts';
import type { AuditName } from '../audits.ts';
import type { Route } from './route.ts';

const path = '/v1/datasets/:dataset/snapshots/:snapshot/audit';
/** Before an audit that has no report yet is asked for again. */
const retrySeconds = 1;

export const audits: Route = (server, context) => {
  const { store, audits } = context;
  /** Other processes audit too: their later report counts more than a failure of this one. */
  const stored = async (name: AuditName) => {
    const report = await audits.last(name);
    const failure = audits.failure(name);
    if (failure === undefined) return report;
    if (report !== undefined && report.updated_ms > failure.at_ms) return report;
    throw failure.error;
  };
  server.get(
    path,
    {
      config: { scope: 'read' },
      schema: { params: snapshotParams, response: { 200: auditReport, 202: auditAccepted } },
    },
    async (request, reply) => {
      const { dataset, snapshot: ref } = request.params;
      const name = { dataset, snapshot: await findSnapshot(store, dataset, ref) };
      const job = audits.underWay(name);
      // of the audit that was asked for last: one before it does not answer for it
      const report = job === undefined ? await stored(name) : job.report;
      reply.header('logitcask-snapshot', name.snapshot).header('cache-control', 'no-cache');
      if (report !== undefined) return reply.send(report);
      if (job !== undefined) {
        return reply
          .code(202)
          .header('retry-after', retrySeconds)
          .send({ ...name, state: job.state });
      }
      throw neverMade(name.snapshot);
    },
  );
  server.post(
    path,
    {
      config: { scope: 'write' },
      schema: { params: snapshotParams, response: { 202: auditAccepted } },
    },
    async (request, reply) => {
      if (context.stopping) {
        throw new LogitcaskError('shutting-down', 'serve: the server is about to stop');
      }
      const { dataset, snapshot: ref } = request.params;
      const name = { dataset, snapshot: await findSnapshot(store, dataset, ref) };
      const state = audits.start(name);
      return reply
        .code(202)
        .header('location', request.url)
        .send({ ...name, state });
    },
  );
};

function neverMade(snapshot: string): LogitcaskError {
  const message = `audit: snapshot ${snapshot} was never audited; POST to this address starts it`;
  return new LogitcaskError('audit-not-found', message, { got: snapshot });
}
