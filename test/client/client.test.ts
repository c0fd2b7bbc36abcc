import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Client, openClient } from '../../src/client/client.ts';
import type { RunningServer } from '../../src/serve/server.ts';
import { ask, makeStore, serve, shape, type TestStore } from '../fixtures.ts';
import { type Fault, type FaultyProxy, startProxy } from '../support/faulty-proxy.ts';

let made: TestStore;
let server: RunningServer;
let plan = '';
beforeAll(async () => {
  made = await makeStore();
  server = await serve(made.store);
  const client = openClient({ url: server.url });
  const streams = [{ dataset: 'planes' }];
  plan = (await client.createPlan({ streams, global_batch: 8 })).plan;
  client.close();
});
afterAll(async () => {
  await server.close();
  await made.remove();
});

let proxy: FaultyProxy | undefined;
const clients: Client[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await proxy?.close();
  proxy = undefined;
});

function connect(url: string, options: { attemptsMax?: number; timeoutMs?: number } = {}): Client {
  const client = openClient({ url, ...options });
  clients.push(client);
  return client;
}

async function through(
  fault: (request: number) => Fault,
  options: { attemptsMax?: number; timeoutMs?: number } = {},
): Promise<Client> {
  proxy = await startProxy(server.url, fault);
  return connect(proxy.url, options);
}

const first = () => ({ plan, epoch: 0, step: 0 });

describe('the client', () => {
  it('lists data sets and proves manifests by their digest', async () => {
    const client = connect(server.url);
    expect((await client.datasets()).map(({ name }) => name)).toEqual([
      'parquet',
      'plain',
      'planes',
      'raw',
    ]);
    const { id, manifest } = await client.manifest('planes');
    expect(id).toBe(made.planes.snapshot);
    expect(manifest).toEqual(made.planes.manifest);
  });

  it('gives a step with its targets decoded', async () => {
    const client = connect(server.url);
    const batch = await client.step(first());
    const stored = await client.rows({ dataset: 'planes', offset: 0, length: 100 });
    expect(batch.rows).toBe(8);
    expect(batch.positions).toBe(8 * shape.sampleLength);
    const ids = (columns: typeof batch.columns, row: number) =>
      Buffer.from(columns.sample_id.buffers[0].subarray(16 * row, 16 * row + 16)).toString('hex');
    const known = new Map(
      stored.targets().map((targets, row) => [ids(stored.columns, row), targets]),
    );
    batch.targets().forEach((targets, row) => {
      expect(targets).toEqual(known.get(ids(batch.columns, row)));
    });
  });

  it('reads every layout', async () => {
    const client = connect(server.url);
    for (const layout of ['frames', 'plain', 'dense'] as const) {
      expect((await client.step(first(), { layout })).rows).toBe(8);
    }
    const [frames, plain] = await Promise.all([
      client.step(first()),
      client.step(first(), { layout: 'plain' }),
    ]);
    expect(plain.targets()).toEqual(frames.targets());
    const dense = await client.step(first(), { layout: 'dense', pad_to: 64, rank: 1, world: 3 });
    expect([dense.rows, dense.positions]).toEqual([3, 3 * 64]);
    expect(() => dense.targets()).toThrowError(
      expect.objectContaining({ code: 'request-invalid' }),
    );
  });

  it('passes on the code, expectation and finding of a problem', async () => {
    const client = connect(server.url);
    await expect(client.step({ plan, epoch: 0, step: 99 })).rejects.toMatchObject({
      code: 'step-out-of-range',
      expected: '0 … 12',
      got: 'step 99',
    });
    await expect(client.plan('0'.repeat(64))).rejects.toMatchObject({ code: 'plan-not-found' });
    await expect(client.manifest('none')).rejects.toMatchObject({ code: 'dataset-not-found' });
  });
});

describe('a document', () => {
  const range = { epoch: 1, from: 2, to: 5 };
  const spoilt = async (path: string, change: object): Promise<Client> => {
    const document = JSON.parse((await ask(server.url, path)).body.toString());
    const body = JSON.stringify({ ...document, ...change });
    const other = createServer((_, reply) => {
      reply.writeHead(200, { 'content-type': 'application/json' }).end(body);
    });
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    others.push(other);
    return connect(`http://127.0.0.1:${(other.address() as AddressInfo).port}`);
  };
  const others: Server[] = [];
  afterEach(() => {
    for (const other of others.splice(0)) other.close();
  });

  it.each([
    ['epoch', { epoch: 0 }],
    ['from', { from: 1 }],
    ['to', { to: 6 }],
    ['plan', { plan: '0'.repeat(64) }],
  ])('of a digest of another %s is refused', async (name, change) => {
    const path = `/v1/plans/${plan}/epochs/1/digest?from=2&to=5`;
    const same = await (await spoilt(path, {})).digest({ plan, ...range });
    expect(same).toEqual(await connect(server.url).digest({ plan, ...range }));
    const client = await spoilt(path, change);
    const message = `digest: it is another, by its ${name}`;
    await expect(client.digest({ plan, ...range })).rejects.toMatchObject({
      code: 'reply-invalid',
      message,
    });
  });

  it('of another plan, or one whose id is not its digest, is refused', async () => {
    const client = await spoilt(`/v1/plans/${plan}`, {});
    expect(await client.plan(plan)).toEqual(await connect(server.url).plan(plan));
    const code = 'reply-invalid';
    const other = { code, message: 'plan: it is another, by its plan' };
    await expect(client.plan('0'.repeat(64))).rejects.toMatchObject(other);
    const untruthful = await spoilt(`/v1/plans/${plan}`, { plan: '0'.repeat(64) });
    const untrue = { code, message: 'plan: its id is not its digest' };
    await expect(untruthful.plan('0'.repeat(64))).rejects.toMatchObject(untrue);
    const streams = [{ dataset: 'planes' }];
    await expect(untruthful.createPlan({ streams })).rejects.toMatchObject(untrue);
  });
});

describe('a reply that breaks off', () => {
  const faults: [string, Fault][] = [
    ['before it begins', { type: 'reset' }],
    ['within its headers', { type: 'cut-header' }],
    ['before its body', { type: 'cut', bytes: 0 }],
    ['within its schema', { type: 'cut', bytes: 300 }],
    ['within its frames', { type: 'cut', bytes: 9000 }],
    ['cleanly, within its schema', { type: 'clean-end', bytes: 300 }],
    ['cleanly, within its frames', { type: 'clean-end', bytes: 9000 }],
    ['cleanly, without a byte', { type: 'clean-end', bytes: 0 }],
  ];
  it.each(faults)('%s is refused', async (_, fault) => {
    const client = await through(() => fault, { attemptsMax: 1 });
    const codes = ['server-unreachable', 'reply-truncated', 'reply-invalid'];
    const error = await client.step(first()).catch((thrown) => thrown);
    expect(codes).toContain(error.code);
  });

  it.each(faults)('%s is asked for again, and gives the same bytes', async (_, fault) => {
    const whole = await connect(server.url).step(first());
    const client = await through((n) => (n === 1 ? fault : { type: 'none' }));
    expect((await client.step(first())).bytes.equals(whole.bytes)).toBe(true);
    expect(proxy?.requests).toBe(2);
  });
});

describe('a proxy', () => {
  it('that buffers and drops the length does no harm', async () => {
    const client = await through(() => ({ type: 'buffer' }));
    expect((await client.step(first())).rows).toBe(8);
  });

  it('that compresses, unasked, is refused', async () => {
    const client = await through(() => ({ type: 'gzip' }), { attemptsMax: 1 });
    await expect(client.step(first())).rejects.toMatchObject({ code: 'reply-invalid' });
  });

  it('that flips a bit of tokens, mask, sample ids or frames is found out', async () => {
    const { bytes, columns } = await connect(server.url).step(first());
    const places = [
      columns.tokens.buffers[1],
      columns.mask.buffers[1],
      columns.sample_id.buffers[0],
      columns.teacher_frame.buffers[1],
    ].flatMap((buffer) =>
      [0, 0.31, 0.77].map(
        (part) => buffer.byteOffset - bytes.byteOffset + Math.floor(buffer.length * part),
      ),
    );
    for (const byte of places) {
      const client = await through((n) => (n === 1 ? { type: 'flip', byte } : { type: 'none' }), {
        attemptsMax: 1,
      });
      const error = await client.step(first()).catch((thrown) => thrown);
      expect(['frame-damaged', 'reply-invalid']).toContain(error.code);
      expect((await client.step(first())).bytes.equals(bytes)).toBe(true);
      await proxy?.close();
    }
  });

  it.each([2, 3, 7, 20])(
    'that resets every request number %i·n changes nothing',
    async (every) => {
      const epoch = async (client: Client) => {
        const hash = createHash('sha256');
        for (let step = 0; step < 13; step++) {
          hash.update((await client.step({ plan, epoch: 1, step })).bytes);
        }
        return hash.digest('hex');
      };
      const client = await through((n) => ({ type: n % every === 0 ? 'reset' : 'none' }));
      expect(await epoch(client)).toBe(await epoch(connect(server.url)));
    },
    20_000,
  );

  it.each([408, 425, 429, 502, 503])('that answers %i is asked again', async (status) => {
    const client = await through((n) => (n === 1 ? { type: 'status', status } : { type: 'none' }));
    expect((await client.step(first())).rows).toBe(8);
  });

  it.each([400, 404, 418])('that answers %i is not', async (status) => {
    const client = await through(() => ({ type: 'status', status }));
    await expect(client.step(first())).rejects.toMatchObject({ code: 'reply-invalid' });
    expect(proxy?.requests).toBe(1);
  });
});

describe('a server', () => {
  it('that does not answer in time is unreachable', async () => {
    const client = await through(() => ({ type: 'stall' }), { attemptsMax: 2, timeoutMs: 100 });
    await expect(client.step(first())).rejects.toMatchObject({ code: 'server-unreachable' });
    expect(proxy?.requests).toBe(2);
  });

  it('that is not there is unreachable', async () => {
    const client = connect('http://127.0.0.1:9', { attemptsMax: 1 });
    await expect(client.datasets()).rejects.toMatchObject({
      code: 'server-unreachable',
      message: expect.stringContaining('http://127.0.0.1:9'),
    });
  });

  it('that sends another step than the one asked for is refused', async () => {
    const other = createServer(async (_, outgoing) => {
      const path = `/v1/plans/${plan}/epochs/0/steps/1`;
      const reply = await fetch(`${server.url}${path}`);
      outgoing.end(Buffer.from(await reply.arrayBuffer()));
    });
    await new Promise<void>((resolve) => other.listen(0, resolve));
    const { port } = other.address() as AddressInfo;
    const client = connect(`http://127.0.0.1:${port}`);
    await expect(client.step(first())).rejects.toMatchObject({
      code: 'conflict',
      expected: 0,
      got: '1',
    });
    client.close();
    other.close();
  });

  it('that alters a manifest is found out', async () => {
    const client = await through(() => ({ type: 'flip', byte: 700 }));
    await expect(client.manifest('planes')).rejects.toMatchObject({ code: 'manifest-invalid' });
  });
});
