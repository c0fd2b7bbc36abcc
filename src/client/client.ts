/** The TypeScript client: every batch is checked before it is given out. */
import { type BatchRequest, batchRequest, type LayoutName } from '../../schemas/batch.ts';
import { datasetList } from '../../schemas/http.ts';
import type { Manifest } from '../../schemas/manifest.ts';
import type { input } from '../../schemas/parse.ts';
import {
  type OrderDigest,
  orderDigest,
  type PlanReply,
  type PlanRequest,
  planReply,
  planRequest,
} from '../../schemas/plan.ts';
import { LogitcaskError } from '../errors.ts';
import { planId } from '../plan/plan.ts';
import { parseManifest } from '../shard/snapshot.ts';
import { type Batch, readBatch } from './batch.ts';
import { checkAnswers, type ScoreRequest, scoreRequestStream } from './score.ts';
import { readBatches } from './stream.ts';
import { checkStudentTokenizer } from './student-tokenizer.ts';
import {
  arrowType,
  openTransport,
  type Transport,
  type TransportOptions,
  type TransportRequest,
} from './transport.ts';

const json = 'application/json';

export interface StepAddress {
  readonly plan: string;
  readonly epoch: number;
  readonly step: number;
}

export interface DigestAddress {
  readonly plan: string;
  readonly epoch: number;
  readonly from?: number;
  readonly to?: number;
  readonly rank?: number;
  readonly world?: number;
  readonly replicate?: number;
}

export interface StreamAddress {
  readonly plan: string;
  readonly epoch: number;
  readonly from: number;
  readonly to: number;
}

export interface RowsAddress {
  readonly dataset: string;
  /** Digest or tag, `latest` by default. */
  readonly snapshot?: string;
  readonly offset: number;
  /** At most 100. */
  readonly length: number;
  readonly layout?: LayoutName;
}

export interface Client {
  readonly url: string;
  /** All data sets with their tags. */
  datasets(): Promise<{ name: string; tags: Record<string, string> }[]>;
  /** A manifest whose bytes have the digest that the server names. */
  manifest(dataset: string, snapshot?: string): Promise<{ id: string; manifest: Manifest }>;
  /**
   * Throws `conflict` unless a student's tokenizer.json gives every text the ids of the one that is
   * kept with the snapshot.
   */
  checkTokenizer(student: Uint8Array, dataset: string, snapshot?: string): Promise<void>;
  createPlan(request: input<typeof planRequest>): Promise<PlanReply>;
  plan(id: string): Promise<PlanReply>;
  /** Proof of the order of steps [from, to), as one rank receives them, or all. */
  digest(range: DigestAddress): Promise<OrderDigest>;
  /** Samples [offset, offset + length) in stored order. */
  rows(address: RowsAddress): Promise<Batch>;
  /** One step's batch for one rank. */
  step(address: StepAddress, request?: Partial<BatchRequest>): Promise<Batch>;
  /**
   * Steps [from, to) of an epoch for one rank, each as it arrives. Not asked for again by itself:
   * whoever reads knows which steps are done.
   */
  stream(address: StreamAddress, request?: Partial<BatchRequest>): AsyncIterable<Batch>;
  /**
   * Targets of any sequences, one row each, from the server's cache or its teachers, which may have
   * to be waited for (`timeoutMs`). Layout `plain`; it may be asked again like any other request.
   */
  score(request: ScoreRequest): Promise<Batch>;
  close(): void;
}

export function openClient(options: TransportOptions): Client {
  const { attemptsMax = 5 } = options;
  const transport = openTransport({ ...options, attemptsMax });
  const getJson = async (path: string) =>
    JSON.parse((await transport.send({ path, accept: json })).body.toString());
  const getBatch = batchesOf(transport, attemptsMax);
  return {
    url: options.url,
    async datasets() {
      const found = [];
      let cursor: string | null = '';
      while (cursor !== null) {
        const page = datasetList.parse(await getJson(`/v1/datasets?${query({ cursor })}`));
        found.push(...page.datasets);
        cursor = page.next;
      }
      return found;
    },
    manifest: (dataset, snapshot = 'latest') => manifestOf(transport, dataset, snapshot),
    async checkTokenizer(student, dataset, snapshot = 'latest') {
      const { id, manifest } = await manifestOf(transport, dataset, snapshot);
      await checkStudentTokenizer(student, manifest, async (name) => {
        const path = `${snapshotPath(dataset, id)}/shards/${encodeURIComponent(name)}`;
        return (await transport.send({ path, accept: '*/*' })).body;
      });
    },
    async createPlan(request) {
      const body: PlanRequest = planRequest.parse(request);
      const reply = await transport.send({ method: 'POST', path: '/v1/plans', accept: json, body });
      return planOf(JSON.parse(reply.body.toString()));
    },
    plan: async (id) => planOf(await getJson(`/v1/plans/${id}`), id),
    async digest({ plan, epoch, ...range }) {
      const path = `/v1/plans/${plan}/epochs/${epoch}/digest?${query({ ...range })}`;
      const found = orderDigest.parse(await getJson(path));
      const { from = 0, to = found.to } = range;
      refuseOther('digest', { plan, epoch, from, to }, found);
      return found;
    },
    rows({ dataset, snapshot = 'latest', offset, length, layout = 'frames' }) {
      const asked = query({ offset, length, layout });
      return getBatch(`${snapshotPath(dataset, snapshot)}/rows?${asked}`, { layout });
    },
    step({ plan, epoch, step }, request = {}) {
      const asked = batchRequest.parse(request);
      const { rank, world, layout } = asked;
      const path = `/v1/plans/${plan}/epochs/${epoch}/steps/${step}?${query(asked)}`;
      return getBatch(path, { plan, epoch, step, rank, world, layout });
    },
    stream({ plan, epoch, from, to }, request = {}) {
      const asked = batchRequest.parse(request);
      const { rank, world, layout } = asked;
      const path = `/v1/plans/${plan}/epochs/${epoch}/stream?${query({ from, to, ...asked })}`;
      const pieces = transport.receive({ path, accept: arrowType });
      return readBatches(pieces, { plan, epoch, from, to, rank, world, layout });
    },
    async score(request) {
      const { topK: top_k, targetSets } = request;
      const path = `/v1/score?${query({ top_k, target_sets: targetSets?.join(',') })}`;
      const body = scoreRequestStream(request);
      const batch = await getBatch(path, { layout: 'plain' }, { method: 'POST', body });
      checkAnswers(batch, request);
      return batch;
    },
    close: () => transport.close(),
  };
}

async function manifestOf(transport: Transport, dataset: string, snapshot: string) {
  const path = snapshotPath(dataset, snapshot);
  const { headers, body } = await transport.send({ path, accept: json });
  const id = String(headers['logitcask-snapshot']);
  return { id, manifest: parseManifest(body, id) };
}

/** A plan whose id is the digest of what it says of itself, and the one asked for. */
function planOf(document: unknown, asked?: string): PlanReply {
  const found = planReply.parse(document);
  const { plan: got, identity } = found;
  const expected = planId(identity);
  if (got !== expected) {
    const message = 'plan: its id is not its digest';
    throw new LogitcaskError('reply-invalid', message, { expected, got });
  }
  refuseOther('plan', { plan: asked ?? got }, found);
  return found;
}

function refuseOther<T extends object>(what: string, asked: Partial<T>, found: T): void {
  for (const name of Object.keys(asked) as (keyof T & string)[]) {
    if (found[name] === asked[name]) continue;
    const message = `${what}: it is another, by its ${name}`;
    throw new LogitcaskError('reply-invalid', message, { expected: asked[name], got: found[name] });
  }
}

/** Asks for a batch, and again where it was damaged on the way; at rest, that is a problem. */
function batchesOf(transport: Transport, attemptsMax: number) {
  return async (
    path: string,
    asked: Readonly<Record<string, string | number>>,
    posted: Pick<TransportRequest, 'method' | 'body'> = {},
  ): Promise<Batch> => {
    for (let attempt = 1; ; attempt++) {
      const { body } = await transport.send({ path, accept: arrowType, ...posted });
      try {
        return readBatch(body, asked);
      } catch (error) {
        const onTheWay = ['reply-truncated', 'reply-invalid', 'frame-damaged'];
        const { code } = error as LogitcaskError;
        if (!onTheWay.includes(code) || attempt === attemptsMax) throw error;
      }
    }
  };
}

/** What is undefined is left to the server. */
function query(values: Readonly<Record<string, string | number | undefined>>): URLSearchParams {
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  return new URLSearchParams(given.map(([key, value]): [string, string] => [key, String(value)]));
}

function snapshotPath(dataset: string, snapshot: string): string {
  return `/v1/datasets/${encodeURIComponent(dataset)}/snapshots/${encodeURIComponent(snapshot)}`;
}
