import { createHash } from 'node:crypto';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { AuditReport, Statistics } from '../../schemas/audit.ts';
import { serveConfig } from '../../schemas/serve-config.ts';
import type { AuditOptions } from '../../src/audit/audit.ts';
import { readAudit } from '../../src/audit/report-file.ts';
import { LogitcaskError } from '../../src/errors.ts';
import type { Auditor } from '../../src/serve/auditor.ts';
import { type RunningServer, startServer } from '../../src/serve/server.ts';
import { auditPath, filePath } from '../../src/shard/names.ts';
import { ask, makeStore, type TestStore } from '../fixtures.ts';
import { auditReportOf, findingOf } from '../support/audit-report.ts';

let made: TestStore;
beforeAll(async () => {
  made = await makeStore();
});
afterAll(() => made.remove());

const reportOf = (
  name: Pick<AuditReport, 'dataset' | 'snapshot'>,
  more: Partial<AuditReport> = {},
) => auditReportOf({ ...name, progress: { bytes: 100, bytes_total: 100 }, ...more });

/** Audits that go on when the test says so; what they leave is kept in memory. */
function heldAuditor() {
  const stored = new Map<string, AuditReport>();
  const begun: (AuditOptions & { end: (result: AuditReport | Error) => void })[] = [];
  const auditor: Auditor = {
    run: (_, options) =>
      new Promise((resolve, reject) => {
        const end = (result: AuditReport | Error) => {
          if (result instanceof Error) return reject(result);
          stored.set(options.dataset, result);
          resolve(result);
        };
        options.signal?.addEventListener('abort', () => {
          end(new LogitcaskError('interrupted', 'audit: stopped'));
        });
        begun.push({ ...options, end });
      }),
    read: async (_, dataset) => stored.get(dataset),
  };
  return { auditor, begun, stored };
}

let held: ReturnType<typeof heldAuditor>;
let server: RunningServer;
const begin = async (config: object = {}) => {
  held = heldAuditor();
  const parsed = serveConfig.parse({ port: 0, log: { level: 'silent' }, ...config });
  server = await startServer({ store: made.store, config: parsed, auditor: held.auditor });
};
afterEach(() => server.close());

const pathOf = (dataset: string) => `/v1/datasets/${dataset}/snapshots/latest/audit`;
const post = (dataset: string, headers?: Record<string, string>) =>
  ask(server.url, pathOf(dataset), { method: 'POST', headers });
const get = (dataset: string) => ask(server.url, pathOf(dataset));
const nameOf = (dataset: 'planes' | 'raw' | 'plain') => ({
  dataset,
  snapshot: made[dataset].snapshot,
});
/** The answers come when the event loop has gone on. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('an audit over HTTP', () => {
  it('is asked for, seen while it runs, and kept', async () => {
    await begin({ audit: { workers: 2, bytes_per_second_max: 1000 } });
    expect((await get('planes')).json()).toMatchObject({ status: 404, code: 'audit-not-found' });
    const asked = await post('planes');
    expect([asked.status, asked.headers.location]).toEqual([202, pathOf('planes')]);
    expect(asked.json()).toEqual({ ...nameOf('planes'), state: 'running' });
    expect(held.begun[0]).toMatchObject({
      ...nameOf('planes'),
      workers: 2,
      bytesPerSecondMax: 1000,
    });
    const early = await get('planes');
    expect([early.status, early.headers['retry-after']]).toEqual([202, '1']);
    const partial = reportOf(nameOf('planes'), { partial: true, findings: [findingOf()] });
    held.begun[0].onProgress?.(partial);
    expect((await get('planes')).json()).toEqual(partial);
    const glance = async () => {
      const path = '/v1/datasets/planes/snapshots/latest/statistics';
      return ((await ask(server.url, path)).json() as unknown as Statistics).audit;
    };
    expect(await glance()).toEqual({
      partial: true,
      updated_ms: partial.updated_ms,
      faults: 1,
      warnings: 0,
    });
    const whole = reportOf(nameOf('planes'), { findings: [findingOf({ severity: 'warning' })] });
    held.begun[0].end(whole);
    await turn();
    expect((await get('planes')).json()).toEqual(whole);
    expect(await glance()).toEqual({
      partial: false,
      updated_ms: whole.updated_ms,
      faults: 0,
      warnings: 1,
    });
  });

  it('is not started twice; others wait their turn, and no more than the limit', async () => {
    await begin({ audit: { waiting_max: 1 } });
    for (let i = 0; i < 3; i++) {
      expect((await post('planes')).json()).toMatchObject({ state: 'running' });
    }
    for (let i = 0; i < 2; i++) {
      expect((await post('raw')).json()).toMatchObject({ state: 'waiting' });
    }
    expect(held.begun.length).toBe(1);
    const refused = await post('plain');
    expect(refused.json()).toMatchObject({ status: 503, code: 'audits-waiting', retryable: true });
    held.begun[0].end(reportOf(nameOf('planes')));
    await turn();
    expect(held.begun.map(({ dataset }) => dataset)).toEqual(['planes', 'raw']);
    expect((await post('plain')).json()).toMatchObject({ state: 'waiting' });
  });

  it('tells what ended it, until it is asked for again', async () => {
    await begin();
    await post('planes');
    held.begun[0].end(new LogitcaskError('store-failed', 'store: no such disk'));
    await turn();
    expect((await get('planes')).json()).toMatchObject({ status: 500, code: 'store-failed' });
    await post('planes');
    expect((await get('planes')).status).toBe(202);
  });

  it('is answered by a later report of another process, not by an earlier one', async () => {
    await begin();
    held.stored.set('planes', reportOf(nameOf('planes'), { updated_ms: Date.now() - 1000 }));
    await post('planes');
    held.begun[0].end(new LogitcaskError('build-running', 'audit: another process audits'));
    await turn();
    expect((await get('planes')).json()).toMatchObject({ status: 409, code: 'build-running' });
    const later = reportOf(nameOf('planes'), { updated_ms: Date.now() + 1000 });
    held.stored.set('planes', later);
    expect((await get('planes')).json()).toEqual(later);
  });

  it('whose report cannot be read is named, and leaves the statistics as they are', async () => {
    await begin();
    const { snapshot } = nameOf('raw');
    Object.assign(held.auditor, { read: readAudit });
    await made.store.write(auditPath('raw', snapshot), Buffer.from('{"format":0}'));
    expect((await get('raw')).json()).toMatchObject({ status: 500, code: 'manifest-invalid' });
    const statistics = await ask(server.url, '/v1/datasets/raw/snapshots/latest/statistics');
    expect(statistics.json()).toMatchObject({ snapshot, audit: null });
  });

  it('is stopped with the server, and nothing that waits is begun', async () => {
    await begin();
    await post('planes');
    await post('raw');
    await server.close();
    expect(held.begun.map(({ dataset, signal }) => [dataset, signal?.aborted])).toEqual([
      ['planes', true],
    ]);
  });

  it('makes the server refuse what it found damaged', async () => {
    await begin();
    const rows = '/v1/datasets/plain/snapshots/latest/rows?length=1';
    expect((await ask(server.url, rows)).status).toBe(200);
    const shard = made.plain.manifest.files.find(({ role }) => role === 'shard');
    const shards = `/v1/datasets/plain/snapshots/latest/shards/${shard?.name}`;
    expect((await ask(server.url, shards)).status).toBe(200); // proved good, and remembered
    const path = join(made.folder, 'store', filePath('plain', `${shard?.name}`));
    const good = readFileSync(path);
    truncateSync(path, 100);
    await post('plain');
    const { integrity } = reportOf(nameOf('plain'));
    const quarantined = { total: 1, rows: [`${shard?.name}`] };
    held.begun[0].end(reportOf(nameOf('plain'), { integrity: { ...integrity, quarantined } }));
    await expect
      .poll(async () => (await ask(server.url, shards)).json())
      .toMatchObject({ code: 'shard-damaged' });
    expect((await ask(server.url, rows)).json()).toMatchObject({ code: 'shard-damaged' });
    const metrics = (await ask(server.url, '/metrics')).body.toString();
    expect(metrics).toContain('\nlogitcask_quarantined_files 1\n');
    expect(metrics).toContain('\nlogitcask_audits_total{result="complete"} 1\n');
    expect(metrics).toContain('\nlogitcask_audit_bytes_total 100\n');
    writeFileSync(path, good);
    await post('plain');
    held.begun[1].end(reportOf(nameOf('plain')));
    await expect.poll(async () => (await ask(server.url, shards)).status).toBe(200);
  });

  it('is not started by a page of another site where no token is asked for', async () => {
    await begin();
    for (const site of ['cross-site', 'same-site']) {
      const refused = await post('planes', { 'sec-fetch-site': site });
      expect(refused.json()).toMatchObject({ status: 403, code: 'forbidden', got: site });
    }
    expect(held.begun).toEqual([]);
    const read = { headers: { 'sec-fetch-site': 'cross-site' } };
    expect((await ask(server.url, '/v1/datasets', read)).status).toBe(200);
    for (const site of ['none', 'same-origin']) {
      expect((await post('planes', { 'sec-fetch-site': site })).status).toBe(202);
    }
  });

  it('needs the scope write', async () => {
    const sha256 = createHash('sha256').update('secret').digest('hex');
    await begin({ tokens: [{ name: 'a', sha256, scopes: ['read'] }] });
    const refused = await post('planes', { authorization: 'Bearer secret' });
    expect(refused.json()).toMatchObject({ status: 403, code: 'forbidden' });
  });
});
