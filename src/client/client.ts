/** The TypeScript client: every batch is checked before it is given out. */
import { type BatchRequest, batchRequest } from '../../schemas/batch.ts';
import type { Manifest } from '../../schemas/manifest.ts';
import type { input } from '../../schemas/parse.ts';
import { type PlanReply, type PlanRequest, planReply, planRequest } from '../../schemas/plan.ts';
import type { LogitcaskError } from '../errors.ts';
import { parseManifest } from '../shard/snapshot.ts';
import { type Batch, readBatch } from './batch.ts';
import { openTransport, type TransportOptions } from './transport.ts';

const arrowType = 'application/vnd.apache.arrow.stream';
const json = 'application/json';

export interface StepAddress {
  readonly plan: string;
  readonly epoch: number;
  readonly step: number;
}

export interface Client {
  readonly url: string;
  /** A manifest whose bytes have the digest that the server names. */
  manifest(dataset: string, snapshot?: string): Promise<{ id: string; manifest: Manifest }>;
  createPlan(request: input<typeof planRequest>): Promise<PlanReply>;
  plan(id: string): Promise<PlanReply>;
  /** One step's batch for one rank. */
  step(address: StepAddress, request?: Partial<BatchRequest>): Promise<Batch>;
  close(): void;
}

export function openClient(options: TransportOptions): Client {
  const transport = openTransport(options);
  const getJson = async (path: string) =>
    JSON.parse((await transport.send({ path, accept: json })).body.toString());
  return {
    url: options.url,
    async manifest(dataset, snapshot = 'latest') {
      const path = `/v1/datasets/${encodeURIComponent(dataset)}/snapshots/${encodeURIComponent(snapshot)}`;
      const { headers, body } = await transport.send({ path, accept: json });
      const id = String(headers['logitcask-snapshot']);
      return { id, manifest: parseManifest(body, id) };
    },
    async createPlan(request) {
      const body: PlanRequest = planRequest.parse(request);
      const reply = await transport.send({ method: 'POST', path: '/v1/plans', accept: json, body });
      return planReply.parse(JSON.parse(reply.body.toString()));
    },
    async plan(id) {
      return planReply.parse(await getJson(`/v1/plans/${id}`));
    },
    async step({ plan, epoch, step }, request = {}) {
      const asked = batchRequest.parse(request);
      const query = new URLSearchParams(
        Object.entries(asked).map(([key, value]): [string, string] => [key, String(value)]),
      );
      const path = `/v1/plans/${plan}/epochs/${epoch}/steps/${step}?${query}`;
      for (let attempt = 1; ; attempt++) {
        const { body } = await transport.send({ path, accept: arrowType });
        try {
          return readBatch(body, {
            plan,
            epoch: String(epoch),
            step: String(step),
            rank: String(asked.rank),
            world: String(asked.world),
            layout: asked.layout,
          });
        } catch (error) {
          // damage on the way is worth another try; damage at rest answers with a problem
          const { code } = error as LogitcaskError;
          const onTheWay = code === 'reply-truncated' || code === 'frame-damaged';
          if (!onTheWay || attempt === (options.attemptsMax ?? 5)) throw error;
        }
      }
    },
    close: () => transport.close(),
  };
}
