import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { RunningServer } from '../../src/serve/server.ts';
import { ask, makeStore, postPlan, serve, type TestStore } from '../fixtures.ts';

let made: TestStore;
beforeAll(async () => {
  made = await makeStore();
});
afterAll(() => made.remove());

const servers: RunningServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});
async function start(config: Parameters<typeof serve>[1] = {}): Promise<string> {
  const server = await serve(made.store, config);
  servers.push(server);
  return server.url;
}

/** A bare connection; resolves to all that the server says before it closes. */
function raw(url: string, onOpen: (socket: Socket) => void): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname, () => onOpen(socket));
    let text = '';
    socket.on('data', (piece) => {
      text += piece;
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
  });
}

describe('limits', () => {
  it('refuse a header over 16 KiB with a problem document', async () => {
    const url = await start();
    const answer = await ask(url, '/healthz', { headers: { 'x-long': 'a'.repeat(17_000) } });
    expect(answer.status).toBe(431);
    expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8');
    expect(answer.json()).toMatchObject({ status: 431, code: 'headers-too-large' });
    expect((await ask(url, '/healthz')).status).toBe(200);
  });

  it('refuse a body over the limit, declared or not', async () => {
    const url = await start({ limits: { body_bytes_max: 1000 } });
    const body = JSON.stringify({ streams: [{ dataset: 'planes' }], more: 'x'.repeat(1000) });
    const type = { 'content-type': 'application/json' };
    for (const headers of [type, { ...type, 'transfer-encoding': 'chunked' }]) {
      const answer = await ask(url, '/v1/plans', { method: 'POST', headers, body });
      expect(answer.json()).toMatchObject({ status: 413, code: 'body-too-large' });
    }
  });

  it('refuse what is no JSON, no HTTP, and no request', async () => {
    const url = await start();
    const headers = { 'content-type': 'text/plain' };
    const plain = await ask(url, '/v1/plans', { method: 'POST', headers, body: 'x' });
    expect(plain.json()).toMatchObject({ code: 'request-invalid' });
    for (const text of ['\x16\x03\x01\x00\x00\r\n\r\n', 'GET\r\n\r\n', 'GET / HTTP/9.9\r\n\r\n']) {
      const answer = await raw(url, (socket) => socket.write(text));
      expect(answer).toMatch(/^HTTP\/1\.1 400 /);
      expect(answer).toContain('"code":"request-invalid"');
    }
    expect((await ask(url, '/healthz')).status).toBe(200);
  });

  it('slow down whoever asks too often', async () => {
    const url = await start({ limits: { requests_per_minute_max: 3 } });
    const statuses: number[] = [];
    for (let i = 0; i < 4; i++) statuses.push((await ask(url, '/v1/datasets')).status);
    expect(statuses).toEqual([200, 200, 200, 429]);
    const answer = await ask(url, '/v1/datasets');
    expect(answer.json()).toMatchObject({ code: 'too-many-requests', retryable: true });
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
  });

  it('end requests whose header or body does not arrive', async () => {
    const url = await start({ limits: { request_timeout_ms: 300 } });
    const started = performance.now();
    const slowHeader = raw(url, (socket) => socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n'));
    const slowBody = raw(url, (socket) =>
      socket.write(
        'POST /v1/plans HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n' +
          'Content-Length: 100\r\n\r\n{',
      ),
    );
    for (const answer of await Promise.all([slowHeader, slowBody])) {
      expect(answer).toMatch(/^HTTP\/1\.1 408 /);
      expect(answer).toContain('"code":"request-timeout"');
    }
    expect(performance.now() - started).toBeLessThan(5000);
  });

  it('turn connections away beyond the limit, and take new ones when others end', async () => {
    const url = await start({ limits: { connections_max: 2 } });
    const agents = [1, 2].map(() => new Agent({ keepAlive: true }));
    for (const agent of agents) await ask(url, '/healthz', { agent });
    await expect(ask(url, '/healthz')).rejects.toThrow(/hang up|ECONNRESET/);
    agents[0].destroy();
    await wait(50);
    expect((await ask(url, '/healthz')).status).toBe(200);
    agents[1].destroy();
  });

  it('close connections that stay idle', async () => {
    const url = await start({ limits: { idle_timeout_ms: 100 } });
    const started = performance.now();
    const answer = await raw(url, (socket) =>
      socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'),
    );
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(performance.now() - started).toBeLessThan(3000);
  });

  it('end a connection whose client reads nothing, and hold little for it meanwhile', async () => {
    const url = await start({ limits: { handler_timeout_ms: 300, request_timeout_ms: 300 } });
    const { name } = made.planes.manifest.files[0];
    const path = `/v1/datasets/planes/snapshots/latest/shards/${name}`;
    const before = process.memoryUsage.rss();
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    socket.pause();
    const ended = new Promise((resolve) => socket.on('error', resolve).on('close', resolve));
    // 150 MB, if they were all answered
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(2000));
    await wait(500);
    expect(process.memoryUsage.rss() - before).toBeLessThan(64 * 1024 * 1024);
    const probe = setInterval(() => socket.write('GET / HTTP/1.1\r\n'), 100);
    await ended;
    clearInterval(probe);
  }, 10_000);
});

describe('a client that takes nothing of its batch', () => {
  it('holds up the next one until it is cut off, no longer', async () => {
    const limits = { write_timeout_ms: 1000, reply_bytes_max: 16_800_000 };
    const url = await start({ limits });
    const { plan } = (await postPlan(url, 'planes', { global_batch: 8 })).json();
    const view = `layout=dense&pad_to=15000&dtype=float32&snapshot=${made.raw.snapshot}`;
    // all that may be under way, and more than the buffers of the kernel take
    const path = `/v1/plans/${plan}/epochs/0/steps/0?${view}`;
    const { port, hostname } = new URL(url);
    const deaf = connect(Number(port), hostname).pause();
    deaf.on('error', () => {});
    const gone = new Promise((resolve) => deaf.on('close', resolve));
    deaf.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await wait(300);
    const started = performance.now();
    const { status, body } = await ask(url, path);
    expect(status).toBe(200);
    expect(body.length).toBeGreaterThan(15_000_000);
    expect(performance.now() - started).toBeGreaterThan(400);
    deaf.resume();
    await gone;
    expect((await ask(url, path)).status).toBe(200);
  }, 20_000);
});

const openFiles = () => readdirSync('/proc/self/fd').length;

describe('many clients', () => {
  it('may stay idle by the thousand', async () => {
    const url = await start();
    const agent = new Agent({ keepAlive: true, maxSockets: 1000, maxFreeSockets: 1000 });
    const asked = Array.from({ length: 1000 }, () => ask(url, '/healthz', { agent }));
    const statuses = (await Promise.all(asked)).map(({ status }) => status);
    expect(statuses.every((status) => status === 200)).toBe(true);
    expect((await ask(url, '/v1/datasets')).status).toBe(200);
    agent.destroy();
  }, 30_000);

  it('may break off a thousand times without a trace', async () => {
    const url = await start();
    const { plan } = (await postPlan(url, 'planes', { global_batch: 8 })).json();
    const { hostname, port } = new URL(url);
    const paths = [
      `/v1/plans/${plan}/epochs/0/steps/0`,
      `/v1/datasets/planes/snapshots/latest/shards/${made.planes.manifest.files[0].name}`,
    ];
    const breakOff = (i: number) =>
      new Promise<void>((resolve) => {
        const agent = new Agent();
        const outgoing = request({ hostname, port, path: paths[i % 2], agent }, (incoming) => {
          let left = (i * 7919) % 60_000;
          incoming.on('error', () => {});
          incoming.on('close', resolve);
          incoming.on('data', (piece) => {
            left -= piece.length;
            if (left <= 0) outgoing.destroy();
          });
        });
        outgoing.on('error', () => resolve());
        outgoing.end();
        if (i % 10 === 0) setTimeout(() => outgoing.destroy(), i % 7);
      });
    await Promise.all(Array.from({ length: 50 }, (_, i) => breakOff(i)));
    await wait(300);
    const before = openFiles();
    for (let round = 0; round < 20; round++) {
      await Promise.all(Array.from({ length: 50 }, (_, i) => breakOff(round * 50 + i)));
    }
    await wait(300);
    expect(openFiles()).toBeLessThanOrEqual(before + 5);
    expect((await ask(url, paths[0])).status).toBe(200);
  });
});

describe('beyond loopback', () => {
  const hash = (token: string) => createHash('sha256').update(token).digest('hex');
  const tokens = [
    { name: 'trainer', sha256: hash('train'), scopes: ['read' as const] },
    { name: 'worker', sha256: hash('push'), scopes: ['write' as const] },
    { name: 'keeper', sha256: hash('all'), scopes: ['admin' as const] },
  ];
  const local = (url: string) => url.replace('0.0.0.0', '127.0.0.1');

  it('nothing is served without tokens, unless that is said aloud', async () => {
    await expect(start({ host: '0.0.0.0' })).rejects.toMatchObject({ code: 'config-invalid' });
    const url = local(await start({ host: '0.0.0.0', allow_anonymous: true }));
    expect((await ask(url, '/v1/datasets')).status).toBe(200);
  });

  it.each([
    [undefined, 401, 'unauthorized'],
    ['Bearer wrong', 401, 'unauthorized'],
    ['Basic dHJhaW46dHJhaW4=', 401, 'unauthorized'],
    ['Bearer ', 401, 'unauthorized'],
    [`Bearer ${hash('train')}`, 401, 'unauthorized'],
    ['Bearer push', 403, 'forbidden'],
    ['Bearer train', 200, undefined],
    ['bearer train', 200, undefined],
    ['Bearer all', 200, undefined],
  ])('%s is answered with %i', async (authorization, status, code) => {
    const url = local(await start({ host: '0.0.0.0', tokens }));
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
    for (const path of ['/v1/datasets', '/metrics', '/openapi.json', '/version']) {
      const answer = await ask(url, path, { headers });
      expect(answer.status).toBe(status);
      if (code !== undefined) expect(answer.json().code).toBe(code);
      expect(answer.headers['www-authenticate']).toBe(status === 401 ? 'Bearer' : undefined);
    }
    expect((await ask(url, '/healthz')).status).toBe(200);
  });
});

it('a port in use is refused by name', async () => {
  const { port } = new URL(await start());
  await expect(start({ port: Number(port) })).rejects.toMatchObject({
    code: 'port-in-use',
    message: expect.stringContaining(port),
  });
});
