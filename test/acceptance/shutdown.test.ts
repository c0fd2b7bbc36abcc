import { Agent, createServer, request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openClient } from '../../src/client/client.ts';
import type { RunningServer } from '../../src/serve/server.ts';
import type { Store } from '../../src/store/store.ts';
import { ask, makeStore, postPlan, serve, type TestStore } from '../fixtures.ts';
import { watchedStore } from '../support/watched-store.ts';

let made: TestStore;
let plan = '';
beforeAll(async () => {
  made = await makeStore();
  const server = await serve(made.store);
  plan = (await postPlan(server.url, 'planes', { global_batch: 8 })).json().plan;
  await server.close();
});
afterAll(() => made.remove());

const stepPath = (step: number) => `/v1/plans/${plan}/epochs/0/steps/${step % 13}`;

/** The same store, each read of which takes a while. */
const slow = (store: Store, delayMs: number) => watchedStore(store, () => wait(delayMs));

describe('stopping', () => {
  it('answers every request under way, under load, and takes no new connection', async () => {
    const server = await serve(slow(made.store, 200));
    const agent = new Agent({ keepAlive: true });
    const underWay = Array.from({ length: 40 }, (_, i) => ask(server.url, stepPath(i), { agent }));
    const all = Promise.all(underWay);
    await wait(300);
    const started = performance.now();
    await server.close();
    expect(performance.now() - started).toBeLessThan(5000);
    for (const { status, headers, body } of await all) {
      expect([status, headers['content-length']]).toEqual([200, String(body.length)]);
    }
    await expect(ask(server.url, '/healthz')).rejects.toThrow(/ECONNREFUSED/);
    agent.destroy();
  });

  it('does not wait for idle connections', async () => {
    const server = await serve(made.store);
    const agent = new Agent({ keepAlive: true });
    await ask(server.url, '/healthz', { agent });
    const started = performance.now();
    await server.close();
    expect(performance.now() - started).toBeLessThan(1000);
    agent.destroy();
  });

  it('says so at /readyz to whoever is still connected', async () => {
    const server = await serve(slow(made.store, 300));
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    let text = '';
    socket.on('data', (piece) => {
      text += piece.toString('latin1');
    });
    const ended = new Promise((resolve) => socket.on('close', resolve));
    // the connection is busy with a step when the question comes
    socket.write(`GET ${stepPath(1)} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await wait(100);
    const closing = server.close();
    socket.write('GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n');
    await ended;
    expect(text).toMatch(/^HTTP\/1\.1 200 /);
    expect(text).toContain('HTTP/1.1 503 ');
    expect(text).toContain('"code":"shutting-down"');
    await closing;
  });

  it('ends requests that outlive the grace period', async () => {
    const server = await serve(slow(made.store, 3000), { limits: { grace_ms: 200 } });
    const stuck = ask(server.url, stepPath(0));
    stuck.catch(() => {});
    await wait(50);
    const started = performance.now();
    await server.close();
    expect(performance.now() - started).toBeLessThan(2000);
    await expect(stuck).rejects.toThrow(/hang up|ECONNRESET/);
  });
});

describe('a rolling restart of two replicas behind a proxy', () => {
  it('shows no error to a client that takes every step', async () => {
    const replicas: RunningServer[] = [await serve(made.store), await serve(made.store)];
    let turn = 0;
    const proxy = createServer((incoming, outgoing) => {
      const { url } = replicas[turn++ % 2];
      const { hostname, port } = new URL(url);
      const { url: path, method, headers } = incoming;
      const onward = request({ hostname, port, path, method, headers }, (reply) => {
        outgoing.writeHead(reply.statusCode ?? 502, reply.headers);
        reply.pipe(outgoing);
      });
      onward.on('error', () => outgoing.writeHead(502).end());
      incoming.pipe(onward);
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const { port } = proxy.address() as AddressInfo;
    const client = openClient({ url: `http://127.0.0.1:${port}` });
    const rows: number[] = [];
    for (let step = 0; step < 39; step++) {
      if (step % 10 === 5) {
        const which = (step / 5) & 1;
        await replicas[which].close();
        setTimeout(async () => {
          replicas[which] = await serve(made.store);
        }, 30);
      }
      rows.push((await client.step({ plan, epoch: 0, step: step % 13 })).rows);
    }
    expect(rows.slice(0, 13).reduce((sum, n) => sum + n)).toBe(101);
    expect(rows.slice(13, 26)).toEqual(rows.slice(0, 13));
    client.close();
    await wait(100);
    proxy.closeAllConnections();
    await new Promise((resolve) => proxy.close(resolve));
    await Promise.all(replicas.map((replica) => replica.close()));
  }, 30_000);
});
