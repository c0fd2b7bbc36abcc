import { EventEmitter } from 'node:events';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import fastify, { type FastifyReply } from 'fastify';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { limitTime } from '../../src/serve/time-limit.ts';

const limits = { handler_timeout_ms: 150, request_timeout_ms: 1000, write_timeout_ms: 250 };
const lines: string[] = [];
const stream = { write: (line: string) => lines.push(line) };
const server = fastify({ logger: { level: 'warn', stream } });
server.addHook('onRequest', async (request, reply) => limitTime(request, reply, limits));
const route = (path: string, handler: (reply: FastifyReply) => unknown, timeoutMs?: number) =>
  server.post(path, { config: { timeoutMs } }, async (_, reply) => handler(reply));
route('/slow', () => wait(500, 'late'));
route('/fast', () => 'there');
route('/own', () => wait(300, 'there'), 1000);
route('/handed-over', async (reply) => {
  reply.hijack();
  reply.raw.writeHead(200);
  reply.raw.write('a');
  await wait(400);
  reply.raw.end('b');
});
route('/begun', (reply) => {
  reply.raw.writeHead(200);
  reply.raw.write('a');
  return wait(2000);
});
route('/flowing', (reply) =>
  reply.send(
    Readable.from(
      (async function* () {
        for (let i = 0; i < 12; i++) {
          await wait(50);
          yield 'a';
        }
      })(),
    ),
  ),
);

let url = '';
beforeAll(async () => {
  await server.listen({ port: 0, host: '127.0.0.1' });
  url = `http://127.0.0.1:${(server.server.address() as AddressInfo).port}`;
});
afterAll(() => server.close());
const post = async (path: string) => {
  const headers = { 'content-type': 'application/json' };
  const reply = await fetch(`${url}${path}`, { method: 'POST', headers, body: '{"a": 1}' });
  return { status: reply.status, text: await reply.text() };
};

afterEach(() => void vi.useRealTimers());

describe('the limit of time', () => {
  it('answers for a handler that takes too long, also once a body has been read', async () => {
    const { text } = await post('/slow');
    expect(JSON.parse(text)).toMatchObject({ code: 'request-timeout' });
    await wait(400); // the late answer is dropped
    expect(lines).toEqual([]);
    expect(await post('/fast')).toEqual({ status: 200, text: 'there' });
  });

  it('is the route’s own where it has one', async () => {
    expect(await post('/own')).toEqual({ status: 200, text: 'there' });
  });

  it('leaves alone what goes on with its answer, and breaks off what has stopped', async () => {
    expect(await post('/handed-over')).toEqual({ status: 200, text: 'ab' });
    expect(await post('/flowing')).toEqual({ status: 200, text: 'a'.repeat(12) });
    await expect(post('/begun')).rejects.toThrow();
  });

  it('ends with the answer', () => {
    vi.useFakeTimers();
    const raw = new EventEmitter();
    limitTime({ routeOptions: { config: {} } } as never, { raw } as never, limits);
    expect(vi.getTimerCount()).toBe(1);
    raw.emit('close');
    expect(vi.getTimerCount()).toBe(0);
  });
});
