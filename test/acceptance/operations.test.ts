import { describe, expect, it } from 'vitest';
import { errors } from '../../src/errors.ts';
import { ask, postPlan } from '../fixtures.ts';
import { useServedStore } from '../support/served-store.ts';

const at = useServedStore();

describe('operations', () => {
  it('are told that the server lives and is ready, and what it is', async () => {
    for (const path of ['/healthz', '/readyz']) {
      const { status, json } = await ask(at.url, path);
      expect([status, json()]).toEqual([200, { status: 'ok' }]);
    }
    const version = expect.stringMatching(/^\d+\.\d+\.\d+$/);
    expect((await ask(at.url, '/version')).json()).toEqual({
      name: 'logitcask',
      version,
      format: 1,
    });
  });

  it('see requests by route and status, not by address', async () => {
    const { plan } = (await postPlan(at.url, 'planes')).json();
    await ask(at.url, `/v1/plans/${plan}/epochs/0/steps/0`);
    const { headers, body } = await ask(at.url, '/metrics');
    expect(headers['content-type']).toMatch(/^text\/plain/);
    const text = body.toString();
    expect(text).toContain('route="/v1/plans/:plan/epochs/:epoch/steps/:step"');
    expect(text).not.toContain(plan);
    expect(text).toContain('process_resident_memory_bytes');
  });
});

interface OpenApi {
  openapi: string;
  paths: Record<string, Record<string, { responses: Record<string, object> }>>;
  components: { schemas: { Problem: { properties: { code: { enum: string[] } } } } };
}

describe('the OpenAPI document', () => {
  it('names every route, and the codes of all errors', async () => {
    const document = (await ask(at.url, '/openapi.json')).json() as unknown as OpenApi;
    expect(document.openapi).toMatch(/^3\.1/);
    expect(Object.keys(document.paths).sort()).toEqual(
      [
        '/health',
        '/healthz',
        '/metrics',
        '/openapi.json',
        '/readyz',
        '/v1/chat/completions',
        '/v1/completions',
        '/v1/datasets',
        '/v1/datasets/{dataset}',
        '/v1/datasets/{dataset}/snapshots/{snapshot}',
        '/v1/datasets/{dataset}/snapshots/{snapshot}/audit',
        '/v1/datasets/{dataset}/snapshots/{snapshot}/images/{image}',
        '/v1/datasets/{dataset}/snapshots/{snapshot}/rows',
        '/v1/datasets/{dataset}/snapshots/{snapshot}/rows/{sample}',
        '/v1/datasets/{dataset}/snapshots/{snapshot}/schema',
        '/v1/datasets/{dataset}/snapshots/{snapshot}/shards/{name}',
        '/v1/datasets/{dataset}/snapshots/{snapshot}/statistics',
        '/v1/datasets/{dataset}/snapshots/{snapshot}/tokens',
        '/v1/models',
        '/v1/plans',
        '/v1/plans/{plan}',
        '/v1/plans/{plan}/epochs/{epoch}/digest',
        '/v1/plans/{plan}/epochs/{epoch}/steps/{step}',
        '/v1/plans/{plan}/epochs/{epoch}/stream',
        '/v1/score',
        '/version',
      ].sort(),
    );
    const { Problem } = document.components.schemas;
    expect(Problem.properties.code.enum.sort()).toEqual(Object.keys(errors).sort());
    for (const methods of Object.values(document.paths)) {
      for (const operation of Object.values(methods)) {
        expect(operation.responses).toHaveProperty('default');
      }
    }
  });
});
