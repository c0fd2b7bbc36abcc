import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { ask, shape } from '../fixtures.ts';
import { useServedStore } from '../support/served-store.ts';

const at = useServedStore();

const planes = '/v1/datasets/planes/snapshots/latest';

describe('data sets', () => {
  it('are listed page by page', async () => {
    const first = await ask(at.url, '/v1/datasets?limit=1');
    expect(first.status).toBe(200);
    expect(first.headers['cache-control']).toBe('no-cache');
    expect(first.json()).toEqual({
      datasets: [{ name: 'parquet', tags: { latest: at.made.parquet.snapshot } }],
      next: 'parquet',
    });
    const second = await ask(at.url, '/v1/datasets?limit=1&cursor=planes');
    expect(second.json()).toMatchObject({ datasets: [{ name: 'raw' }], next: null });
  });

  it('name their tags, snapshots and builds', async () => {
    expect((await ask(at.url, '/v1/datasets/planes')).json()).toMatchObject({
      name: 'planes',
      tags: { latest: at.made.planes.snapshot },
      snapshots: [at.made.planes.snapshot],
      builds: [
        {
          state: 'complete',
          samples: shape.samples,
          positions: shape.positions,
          positionsTotal: shape.positions,
        },
      ],
    });
  });
});

describe('a manifest', () => {
  it('comes byte for byte, by digest and by tag', async () => {
    const id = at.made.planes.snapshot;
    for (const ref of ['latest', id]) {
      const { body, headers } = await ask(at.url, `/v1/datasets/planes/snapshots/${ref}`);
      expect(createHash('sha256').update(body).digest('hex')).toBe(id);
      expect(headers['logitcask-snapshot']).toBe(id);
      expect(headers.etag).toBe(`"${id}"`);
      expect(headers['cache-control']).toContain(ref === 'latest' ? 'no-cache' : 'immutable');
    }
  });

  it('is not sent again to whoever has it', async () => {
    const headers = { 'if-none-match': `W/"x", "${at.made.planes.snapshot}"` };
    const answer = await ask(at.url, planes, { headers });
    expect([answer.status, answer.body.length]).toEqual([304, 0]);
    expect((await ask(at.url, planes, { headers: { 'if-none-match': '"x"' } })).status).toBe(200);
  });

  it('has a schema beside it', async () => {
    const { columns, target_sets } = (await ask(at.url, `${planes}/schema`)).json() as unknown as {
      columns: { name: string; type: string }[];
      target_sets: unknown[];
    };
    expect(columns.map(({ name }) => name)).toEqual([
      'sample_id',
      'tokens',
      'mask',
      'meta',
      'teacher_frame',
      'teacher_label_logprob',
      'teacher_log_z',
    ]);
    expect(target_sets).toHaveLength(1);
  });
});

interface Row {
  ordinal: number;
  sample_id: string;
  tokens: number[];
  mask: boolean[];
  meta: Record<string, unknown>;
  targets: { teacher: Record<string, number[]> };
}

describe('rows', () => {
  const rows = async (query: string, dataset = 'planes') => {
    const path = `/v1/datasets/${dataset}/snapshots/latest/rows${query}`;
    return (await ask(at.url, path)).json() as unknown as { rows: Row[]; total: number };
  };

  it('hold the tokens of the input and the decoded targets', async () => {
    const { rows: found, total } = await rows('?offset=99&length=10');
    expect(total).toBe(shape.samples);
    expect(found.map(({ ordinal }) => ordinal)).toEqual([99, 100]);
    for (const { ordinal, tokens, mask, targets } of found) {
      const from = ordinal * shape.sampleLength;
      expect(tokens).toEqual([...at.made.tokens.subarray(from, from + tokens.length)]);
      expect(mask).toEqual(tokens.map((_, t) => t < tokens.length - 1));
      const { counts, ids, probs, rest, label_logprob, log_z } = targets.teacher;
      expect(counts.length).toBe(tokens.length);
      expect(rest.length).toBe(tokens.length);
      expect(log_z.length).toBe(tokens.length);
      expect(ids.length).toBe(probs.length);
      let place = 0;
      for (const [t, count] of counts.entries()) {
        const kept = probs.slice(place, place + count).reduce((sum, p) => sum + p, 0);
        expect(kept + rest[t]).toBeCloseTo(1, 5);
        place += count;
      }
      expect(label_logprob.every((value) => value === null || value <= 0)).toBe(true);
    }
  });

  it('are the same samples in another codec', async () => {
    const [a, b] = [await rows('?length=5'), await rows('?length=5', 'raw')];
    expect(b.rows.map((row) => row.sample_id)).toEqual(a.rows.map((row) => row.sample_id));
    const { ids, probs } = b.rows[0].targets.teacher;
    const planes = a.rows[0].targets.teacher;
    const best = planes.probs.indexOf(Math.max(...planes.probs.slice(0, planes.counts[0])));
    expect(ids[0]).toBe(planes.ids[best]);
    expect(probs[0]).toBeCloseTo(planes.probs[best], 2);
  });

  it.each(['plain', 'parquet'])('are those of the frames from %s', async (dataset) => {
    expect(await rows('?offset=97&length=9', dataset)).toEqual(await rows('?offset=97&length=9'));
  });

  it('are found by sample id', async () => {
    const { rows: found } = await rows('?offset=42&length=1');
    const answer = await ask(at.url, `${planes}/rows/${found[0].sample_id}`);
    expect(answer.json()).toMatchObject({ rows: [{ ordinal: 42 }] });
    const missing = await ask(at.url, `${planes}/rows/${'0'.repeat(32)}`);
    expect(missing.json()).toMatchObject({ status: 404, code: 'sample-not-found' });
  });

  it('come with the columns asked for, and none behind the end', async () => {
    const { rows: found } = await rows('?length=1&columns=tokens,meta');
    expect(Object.keys(found[0])).toEqual(['ordinal', 'sample_id', 'tokens', 'meta']);
    expect((await rows('?offset=101')).rows).toEqual([]);
  });

  it('come a line each as NDJSON', async () => {
    const headers = { accept: 'application/x-ndjson' };
    const { body, headers: sent } = await ask(at.url, `${planes}/rows?length=3`, { headers });
    expect(sent['content-type']).toBe('application/x-ndjson; charset=utf-8');
    const lines = body.toString().trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line).ordinal)).toEqual([0, 1, 2]);
  });
});

describe('what is not there, or not allowed', () => {
  const digest = '0'.repeat(64);
  it.each([
    ['/v1/nothing', 404, 'route-not-found'],
    ['/v1/datasets/none', 404, 'dataset-not-found'],
    ['/v1/datasets/none/snapshots/latest', 404, 'dataset-not-found'],
    ['/v1/datasets/planes/snapshots/none', 404, 'snapshot-not-found'],
    [`/v1/datasets/planes/snapshots/${digest}`, 404, 'snapshot-not-found'],
    [`${planes}/shards/none.arrow`, 404, 'file-not-found'],
    [`/v1/plans/${digest}`, 404, 'plan-not-found'],
    ['/v1/plans/xyz', 400, 'request-invalid'],
    ['/v1/datasets/..', 400, 'request-invalid'],
    ['/v1/datasets/../../etc', 404, 'route-not-found'],
    ['/v1/datasets/%2e%2e', 400, 'request-invalid'],
    ['/v1/datasets/%2e%2e%2f%2e%2e%2fetc', 400, 'request-invalid'],
    ['/v1/datasets/planes%2fsnapshots', 400, 'request-invalid'],
    ['/v1/datasets/planes%00', 400, 'request-invalid'],
    ['/v1/datasets/%5c..%5c', 400, 'request-invalid'],
    ['/v1/datasets/planes/snapshots/..%2f..%2fraw', 400, 'request-invalid'],
    [`${planes}/shards/..%2ftags%2flatest`, 400, 'request-invalid'],
    [`${planes}/shards/%00`, 400, 'request-invalid'],
    [`/v1/datasets/${'a'.repeat(200)}`, 400, 'request-invalid'],
    [`/v1/datasets/${'a'.repeat(2000)}`, 400, 'request-invalid'],
    ['/v1/datasets/%zz', 400, 'request-invalid'],
    ['/v1/datasets?limit=0', 400, 'request-invalid'],
    ['/v1/datasets?limit=many', 400, 'request-invalid'],
    [`${planes}/rows?length=101`, 400, 'request-invalid'],
    [`${planes}/rows?offset=-1`, 400, 'request-invalid'],
    [`${planes}/rows?columns=tokens,secrets`, 400, 'request-invalid'],
    [`${planes}/rows/abc`, 400, 'request-invalid'],
  ])('%s is answered with %i %s', async (path, status, code) => {
    const answer = await ask(at.url, path);
    expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8');
    expect(answer.json()).toMatchObject({ status, code, retryable: false, instance: path });
    expect(answer.status).toBe(status);
  });

  it('says what was expected and what came', async () => {
    const { code, expected, got, detail } = (await ask(at.url, '/v1/datasets?limit=0')).json();
    expect(code).toBe('request-invalid');
    expect(detail).toContain('querystring.limit');
    expect(expected).toContain('1');
    expect(got).toBe('0');
  });

  it('is refused whatever the method', async () => {
    const answer = await ask(at.url, '/v1/datasets', { method: 'DELETE' });
    expect(answer.json()).toMatchObject({ status: 404, code: 'route-not-found' });
  });
});
