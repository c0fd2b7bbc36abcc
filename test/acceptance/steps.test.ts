import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readBatch } from '../../src/client/batch.ts';
import { openStore } from '../../src/store/table.ts';
import { ask, makeStore, postPlan, serve, shape, type TestStore } from '../fixtures.ts';

let made: TestStore;
let url = '';
let stop: () => Promise<void>;
let plan = '';
beforeAll(async () => {
  made = await makeStore();
  ({ url, close: stop } = await serve(made.store));
  plan = (await postPlan(url, 'planes', { global_batch: 8, seed: '5' })).json().plan;
});
afterAll(async () => {
  await stop();
  await made.remove();
});

const stepPath = (step: number, query = '', epoch = 0) =>
  `/v1/plans/${plan}/epochs/${epoch}/steps/${step}${query}`;

/** Sample ids (hex) of a batch. */
function idsOf(body: Buffer): string[] {
  const { rows, columns } = readBatch(body);
  const hex = Buffer.from(columns.sample_id.buffers[0]).toString('hex');
  return Array.from({ length: rows }, (_, row) => hex.slice(32 * row, 32 * row + 32));
}

async function allIds(): Promise<string[]> {
  const ids: string[] = [];
  for (const offset of [0, 100]) {
    const path = `/v1/datasets/planes/snapshots/latest/rows?length=100&offset=${offset}`;
    const { rows } = (await ask(url, `${path}&columns=meta`)).json() as unknown as {
      rows: { sample_id: string }[];
    };
    ids.push(...rows.map(({ sample_id }) => sample_id));
  }
  return ids;
}

describe('a plan', () => {
  it('is made once, and found again by its id', async () => {
    const again = await postPlan(url, 'planes', { global_batch: 8, seed: '5' });
    const other = await postPlan(url, 'planes', { global_batch: 8, seed: '6' });
    expect([again.status, other.status]).toEqual([200, 201]);
    expect(again.json()).toMatchObject({ plan, steps_per_epoch: 13, items_per_epoch: 101 });
    expect(other.json().plan).not.toBe(plan);
    const found = await ask(url, `/v1/plans/${plan}`);
    expect(found.json()).toEqual(again.json());
    expect(found.headers['cache-control']).toContain('immutable');
    const headers = { 'if-none-match': found.headers.etag ?? '' };
    expect((await ask(url, `/v1/plans/${plan}`, { headers })).status).toBe(304);
  });

  it('is served by another replica of the same store', async () => {
    const store = await openStore(join(made.folder, 'store'));
    const replica = await serve(store);
    const [a, b] = [await ask(url, stepPath(3)), await ask(replica.url, stepPath(3))];
    expect(b.body.equals(a.body)).toBe(true);
    expect(b.headers.etag).toBe(a.headers.etag);
    await replica.close();
    await store.close();
  });

  it.each([
    ['{"streams":[{"dataset":"planes"}],"seed":5}', 'request-invalid', 400],
    ['{"streams":[]}', 'request-invalid', 400],
    ['{"streams":[{"dataset":"../x"}]}', 'request-invalid', 400],
    ['{"streams":[{"dataset":"planes"}],"sede":"5"}', 'request-invalid', 400],
    ['{"streams":', 'request-invalid', 400],
    ['', 'request-invalid', 400],
    ['{"streams":[{"dataset":"none"}]}', 'dataset-not-found', 404],
    ['{"streams":[{"dataset":"planes","snapshot":"v9"}]}', 'snapshot-not-found', 404],
    ['{"streams":[{"dataset":"planes"}],"shuffle":{"mode":"block"}}', 'request-invalid', 400],
  ])('%s is refused', async (body, code, status) => {
    const headers = { 'content-type': 'application/json' };
    const answer = await ask(url, '/v1/plans', { method: 'POST', headers, body });
    expect(answer.json()).toMatchObject({ code, status });
    expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8');
  });
});

describe('an epoch', () => {
  it.each([1, 2, 3, 5, 16])('gives each sample to one of %i ranks', async (world) => {
    const seen: string[] = [];
    for (let step = 0; step < 13; step++) {
      for (let rank = 0; rank < world; rank++) {
        const { status, body } = await ask(url, stepPath(step, `?rank=${rank}&world=${world}`));
        expect(status).toBe(200);
        seen.push(...idsOf(body));
      }
    }
    expect(seen.sort()).toEqual((await allIds()).sort());
  });

  it('has the same order for any world size, another in the next epoch', async () => {
    const order = async (epoch: number, world: number) => {
      const ids: string[] = [];
      for (let rank = 0; rank < world; rank++) {
        const path = stepPath(2, `?rank=${rank}&world=${world}`, epoch);
        ids.push(...idsOf((await ask(url, path)).body));
      }
      return ids;
    };
    expect(await order(0, 3)).toEqual(await order(0, 1));
    expect(await order(1, 1)).not.toEqual(await order(0, 1));
  });

  it('marks the repeated samples of a padded last step', async () => {
    const padded = await postPlan(url, 'planes', { global_batch: 8, tail: 'pad' });
    const path = `/v1/plans/${padded.json().plan}/epochs/0/steps/12?layout=dense`;
    const { rows, columns } = readBatch((await ask(url, path)).body);
    expect(rows).toBe(8);
    expect([...columns.pad.buffers[0]]).toEqual([0b11100000]);
  });
});

describe('a step', () => {
  it('comes whole, with its length, a strong ETag and what a client must check', async () => {
    const { headers, body } = await ask(url, stepPath(1, '?rank=1&world=2'));
    expect(headers).toMatchObject({
      'content-type': 'application/vnd.apache.arrow.stream',
      'content-length': String(body.length),
      'cache-control': 'public, max-age=31536000, immutable',
      vary: 'Accept, Accept-Encoding',
      etag: expect.stringMatching(/^"[0-9a-f]{32}"$/),
    });
    expect(readBatch(body).metadata).toMatchObject({
      'logitcask.rows': '4',
      'logitcask.batches': '1',
      'logitcask.plan': plan,
      'logitcask.epoch': '0',
      'logitcask.step': '1',
      'logitcask.rank': '1',
      'logitcask.world': '2',
      'logitcask.layout': 'frames',
      'logitcask.snapshot': made.planes.snapshot,
    });
  });

  it('has another ETag for every parameter, the same one however it is spelt', async () => {
    const etag = async (query: string) => (await ask(url, stepPath(0, query))).headers.etag;
    const queries = [
      '',
      '?rank=0&world=2',
      '?rank=1&world=2',
      '?layout=plain',
      '?layout=dense',
      '?layout=dense&k=3',
      '?layout=dense&pad_to=64',
      '?layout=dense&dtype=float32',
      '?layout=dense&temperature=2',
      '?target_set=teacher',
      `?snapshot=${made.raw.snapshot}&layout=plain`,
    ];
    const etags = await Promise.all(queries.map(etag));
    expect(new Set(etags).size).toBe(queries.length);
    expect(await etag('?world=2&rank=0&layout=frames')).toBe(etags[1]);
  });

  it('is not built for whoever has it', async () => {
    const { headers } = await ask(url, stepPath(0));
    const held = { 'if-none-match': headers.etag ?? '' };
    const answer = await ask(url, stepPath(0), { headers: held });
    expect([answer.status, answer.body.length]).toEqual([304, 0]);
    expect((await ask(url, stepPath(1), { headers: held })).status).toBe(200);
  });

  it('is described by HEAD', async () => {
    const [head, whole] = [
      await ask(url, stepPath(0), { method: 'HEAD' }),
      await ask(url, stepPath(0)),
    ];
    expect([head.status, head.body.length]).toEqual([200, 0]);
    for (const name of ['content-length', 'etag', 'content-type']) {
      expect(head.headers[name]).toBe(whole.headers[name]);
    }
  });

  it('comes from another snapshot with the same content, in whatever data set', async () => {
    const { raw } = made;
    const answer = await ask(url, stepPath(0, `?layout=plain&snapshot=${raw.snapshot}`));
    const { metadata, columns } = readBatch(answer.body);
    expect(metadata['logitcask.snapshot']).toBe(raw.snapshot);
    expect(columns).toHaveProperty('teacher_logprobs');
    expect(idsOf(answer.body)).toEqual(idsOf((await ask(url, stepPath(0))).body));
  });

  const arrow = 'application/vnd.apache.arrow.stream';
  it.each([
    ['', '', 200],
    ['*/*', 'gzip, br', 200],
    [arrow, 'identity', 200],
    [`${arrow}; codecs="zstd, lz4"`, '*', 200],
    [`application/json, ${arrow};q=0.1`, '', 200],
    [`${arrow};q=0`, '', 406],
    [`${arrow};q=0, */*`, '', 406],
    ['application/json', '', 406],
    ['nonsense', '', 406],
    ['*/*;q=0', '', 406],
    ['*/*', 'identity;q=0', 406],
    ['*/*', '*;q=0', 406],
    ['*/*', 'gzip;q=nonsense', 200],
  ])('asked for as %j in %j is answered with %i', async (accept, encoding, status) => {
    const headers = { ...(accept && { accept }), ...(encoding && { 'accept-encoding': encoding }) };
    const answer = await ask(url, stepPath(0), { headers: headers as Record<string, string> });
    expect(answer.status).toBe(status);
    if (status === 406) expect(answer.json().code).toBe('not-acceptable');
  });

  it.each([
    [stepPath.bind(null, 13), 404, 'step-out-of-range'],
    [stepPath.bind(null, 0, '?rank=2&world=2'), 422, 'rank-out-of-range'],
    [stepPath.bind(null, 0, '?rank=-1'), 400, 'request-invalid'],
    [stepPath.bind(null, 0, '?world=0'), 400, 'request-invalid'],
    [stepPath.bind(null, 0, '?wrold=2'), 400, 'request-invalid'],
    [stepPath.bind(null, 0, '?layout=wide'), 400, 'request-invalid'],
    [stepPath.bind(null, 0, '?layout=dense&pad_to=31'), 400, 'request-invalid'],
    [stepPath.bind(null, 0, '?layout=dense&temperature=0'), 400, 'request-invalid'],
    [stepPath.bind(null, 0, '?layout=dense&k=0'), 400, 'request-invalid'],
    [stepPath.bind(null, 0, '?target_set=other'), 400, 'request-invalid'],
    [stepPath.bind(null, 0, `?snapshot=${'0'.repeat(64)}`), 404, 'snapshot-not-found'],
    [stepPath.bind(null, 0, '', 2 ** 32), 400, 'request-invalid'],
    [stepPath.bind(null, 0, '', -1), 400, 'request-invalid'],
    [stepPath.bind(null, 2 ** 53), 400, 'request-invalid'],
    [stepPath.bind(null, Number.NaN), 400, 'request-invalid'],
  ] as [() => string, number, string][])('is refused, case %#', async (path, status, code) => {
    expect((await ask(url, path())).json()).toMatchObject({ status, code });
  });

  it.each(['raw', 'plain', 'parquet'] as const)(
    'in frames is not to be had of a snapshot that stores none (%s)',
    async (name) => {
      const path = stepPath(0, `?snapshot=${made[name].snapshot}`);
      expect((await ask(url, path)).json()).toMatchObject({ status: 406, code: 'not-acceptable' });
    },
  );

  it('of a snapshot with other samples is refused', async () => {
    const other = await postPlan(url, 'planes', { global_batch: 8 });
    const altered = { ...made.planes.manifest, content_id: '1'.repeat(64) };
    const { canonicalJson, sha256Hex } = await import('../../src/formats/canonical.ts');
    const bytes = Buffer.from(canonicalJson(altered));
    const id = sha256Hex(bytes);
    await made.store.write(`planes/snapshots/${id}.json`, bytes);
    const path = `/v1/plans/${other.json().plan}/epochs/0/steps/0?snapshot=${id}`;
    expect((await ask(url, path)).json()).toMatchObject({ status: 409, code: 'conflict' });
  });

  it('larger than a batch may be is refused before it is read', async () => {
    const small = await serve(made.store, { limits: { batch_positions_max: 100 } });
    const { code, expected, got } = (await ask(small.url, stepPath(0))).json();
    expect([code, expected, got]).toEqual([
      'request-invalid',
      'at most 100 positions',
      `about ${Math.round((8 * shape.positions) / shape.samples)} positions`,
    ]);
    expect((await ask(small.url, stepPath(0, '?world=4'))).status).toBe(200);
    await small.close();
  });
});
