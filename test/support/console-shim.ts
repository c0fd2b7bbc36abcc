/**
 * In front of a server without the console's routes: what it does not know (`route-not-found`) is
 * answered here from the same data. Goes away once the server has them all.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { AuditReport } from '../../schemas/audit.ts';
import { openTokenizer, type TextTokenizer } from '../../src/capture/tokenizer.ts';
import { LogitcaskError } from '../../src/errors.ts';
import { problemOf, problemType } from '../../src/serve/problem.ts';
import { filePath } from '../../src/shard/names.ts';
import { resolveSnapshot } from '../../src/shard/snapshot.ts';
import type { Store } from '../../src/store/store.ts';
import type { Row } from '../../web/src/types.ts';
import { reportOfRows } from './console-report.ts';

const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'";
const types: Record<string, string> = { js: 'text/javascript', css: 'text/css', html: 'text/html' };
const pages = 'dist/web';
const snapshotRoute = /^\/v1\/datasets\/([^/]+)\/snapshots\/([^/]+)\/(\w+)$/;

interface Asked {
  readonly server: string;
  readonly store: Store;
  readonly request: IncomingMessage;
  readonly body: string;
  readonly address: URL;
  readonly audits: Map<string, AuditReport>;
}

/** As the server itself would refuse it. */
function refusal(error: Error): Answer {
  if (!(error instanceof LogitcaskError)) throw error;
  return { ...json(problemOf(error, ''), error.status), type: problemType };
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string | Buffer;
}

const json = (document: unknown, status = 200): Answer => ({
  status,
  type: 'application/json',
  body: JSON.stringify(document),
});

export async function startShim(server: string, store: Store) {
  const audits = new Map<string, AuditReport>();
  const shim = createServer(async (request, response) => {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece);
    const address = new URL(request.url ?? '', server);
    const body = Buffer.concat(pieces).toString();
    const asked = { server, store, request, body, address, audits };
    send(response, await answer(asked).catch(refusal));
  });
  await new Promise<void>((resolve) => shim.listen(0, '127.0.0.1', resolve));
  const { port } = shim.address() as { port: number };
  const close = () => new Promise<void>((resolve) => shim.close(() => resolve()));
  return { url: `http://127.0.0.1:${port}`, close };
}

function send(response: ServerResponse, { status, type, body }: Answer): void {
  const headers = { 'content-type': type, 'content-security-policy': policy };
  response.writeHead(status, { ...headers, connection: 'close' }).end(body);
}

async function answer(asked: Asked): Promise<Answer> {
  const { address } = asked;
  if (!address.pathname.startsWith('/v1/') && address.pathname !== '/version') return page(address);
  const columns = address.searchParams.get('columns');
  if (columns?.includes('text')) {
    address.searchParams.set('columns', columns.replace(',text', ''));
    const found = await pass(asked);
    return found.status === 200 ? withText(asked, found) : found;
  }
  const found = await pass(asked);
  return found.status === 404 && String(found.body).includes('route-not-found')
    ? own(asked, found)
    : found;
}

function page({ pathname }: URL): Answer {
  const file = join(pages, pathname);
  const name =
    pathname.startsWith('/assets/') && existsSync(file) ? file : join(pages, 'index.html');
  const type = types[name.slice(name.lastIndexOf('.') + 1)];
  return { status: 200, type: `${type}; charset=utf-8`, body: readFileSync(name) };
}

async function pass({ request, body, address }: Asked): Promise<Answer> {
  const { method, headers } = request;
  const passed = ['accept', 'content-type', 'authorization'].flatMap((name) => {
    const value = headers[name];
    return typeof value === 'string' ? [[name, value] as [string, string]] : [];
  });
  const reply = await fetch(address, {
    method,
    headers: passed,
    body: method === 'POST' ? body : undefined,
  });
  return {
    status: reply.status,
    type: reply.headers.get('content-type') ?? '',
    body: await reply.text(),
  };
}

async function own(asked: Asked, found: Answer): Promise<Answer> {
  const { address, request } = asked;
  if (address.pathname === '/v1/plans') return plans(asked);
  const [, dataset, ref, what] = snapshotRoute.exec(address.pathname) ?? [];
  if (what === undefined) return found;
  const named = await resolveSnapshot(asked.store, dataset, ref);
  if (what === 'statistics') return json(statisticsOf(asked, dataset, named));
  if (what === 'tokens') {
    const tokenizer = await tokenizerOf(asked.store, dataset, named.manifest);
    const ids = (address.searchParams.get('ids') ?? '').split(',').map(Number);
    return json({ texts: tokenizer === null ? null : ids.map((id) => tokenizer.decodeAll([id])) });
  }
  if (what !== 'audit') return found;
  if (request.method === 'POST') {
    await beginAudit(asked, dataset, named);
    return json({ dataset, snapshot: named.id, state: 'running' }, 202);
  }
  const report = asked.audits.get(named.id);
  return report === undefined ? found : json(report);
}

type Named = Awaited<ReturnType<typeof resolveSnapshot>>;

/** The whole report at once, shown half for a while. */
async function beginAudit(asked: Asked, dataset: string, named: Named): Promise<void> {
  const { server, store, audits } = asked;
  const { id, manifest } = named;
  const path = `${server}/v1/datasets/${dataset}/snapshots/${id}/rows?length=100`;
  const { rows } = (await (await fetch(path)).json()) as { rows: Row[] };
  const report = await reportOfRows(store, { dataset, snapshot: id, manifest, rows });
  const { bytes_total } = report.progress;
  const progress = { bytes: Math.floor(bytes_total / 2), bytes_total };
  audits.set(id, { ...report, partial: true, progress, findings: [] });
  setTimeout(() => audits.set(id, { ...report, updated_ms: Date.now() }), 1500);
}

function statisticsOf({ audits }: Asked, dataset: string, { id, manifest }: Named) {
  const { kind, label_space, totals, inputs, parent, target_sets, files } = manifest;
  const words = (one: { name: string; parameters: object }) =>
    [one.name, ...Object.entries(one.parameters).map((pair) => pair.join('='))].join(' ');
  const report = audits.get(id);
  const of = (severity: string) =>
    (report?.findings ?? []).filter((finding) => finding.severity === severity).length;
  const audited = report && { partial: report.partial, updated_ms: report.updated_ms };
  return {
    dataset,
    snapshot: id,
    tags: ['latest'],
    kind,
    label_space,
    totals,
    roles: [{ role: 'shard', files: files.length, bytes: totals.bytes }],
    bytes_per_position: totals.bytes / totals.positions,
    ...inputs,
    parent,
    target_sets: target_sets.map((set) => ({
      ...set,
      teacher: set.teacher.name,
      sparsifier: words(set.sparsifier),
      codec: words(set.codec),
      entries_per_position: set.entries / totals.positions,
    })),
    audit: audited ? { ...audited, faults: of('fault'), warnings: of('warning') } : null,
  };
}

async function tokenizerOf(
  store: Store,
  dataset: string,
  { files }: Named['manifest'],
): Promise<TextTokenizer | null> {
  const file = files.find(({ role }) => role === 'tokenizer');
  if (file === undefined) return null;
  const bytes = await store.readAll(filePath(dataset, file.name), 64 * 1024 * 1024);
  return openTokenizer(bytes, file.name);
}

async function withText(asked: Asked, found: Answer): Promise<Answer> {
  const [, dataset, ref] = snapshotRoute.exec(asked.address.pathname) ?? [];
  const { manifest } = await resolveSnapshot(asked.store, dataset, ref);
  const tokenizer = await tokenizerOf(asked.store, dataset, manifest);
  const { rows, total } = JSON.parse(String(found.body)) as { rows: Row[]; total: number };
  const text = ({ tokens }: Row) => tokenizer && tokens.map((id) => tokenizer.decodeAll([id]));
  return json({ rows: rows.map((row) => ({ ...row, text: text(row) })), total });
}

async function plans({ store, server }: Asked): Promise<Answer> {
  const files = (await store.list('plans')).filter((name) => name.endsWith('.json'));
  const found = await Promise.all(
    files.map(async (name) => {
      const id = name.replace('.json', '');
      const reply = (await (await fetch(`${server}/v1/plans/${id}`)).json()) as object;
      return { ...reply, created_ms: Date.now() };
    }),
  );
  return json({ plans: found, next: null });
}
