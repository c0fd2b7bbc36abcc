import { get, type IncomingMessage } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Batch } from '../../src/client/batch.ts';
import { openClient } from '../../src/client/client.ts';
import { decodeStream } from '../../src/formats/arrow.ts';
import type { RunningServer } from '../../src/serve/server.ts';
import { ask, makeStore, postPlan, serve, type TestStore } from '../fixtures.ts';
import { watchedStore } from '../support/watched-store.ts';

let made: TestStore;
let server: RunningServer;
let plan = '';
beforeAll(async () => {
  made = await makeStore();
  server = await serve(made.store);
  plan = (await postPlan(server.url, 'planes', { global_batch: 8 })).json().plan;
});
afterAll(async () => {
  await server.close();
  await made.remove();
});

const path = (query = '') => `/v1/plans/${plan}/epochs/1/stream${query}`;

async function collect(batches: AsyncIterable<Batch>): Promise<Batch[]> {
  const all: Batch[] = [];
  for await (const batch of batches) all.push(batch);
  return all;
}

describe('a stream', () => {
  it.each([
    ['frames', ''],
    ['plain', '&rank=2&world=3'],
    ['dense', '&pad_to=40&rank=1&world=2'],
  ])('in layout %s holds the batches of the steps', async (layout, more) => {
    const view = `layout=${layout}${more}`;
    const { body, headers } = await ask(server.url, path(`?from=3&to=13&${view}`));
    expect(headers['content-type']).toBe('application/vnd.apache.arrow.stream');
    const { metadata, batches, types } = decodeStream(body);
    expect(batches).toHaveLength(10);
    let rows = 0;
    for (const [i, columns] of batches.entries()) {
      const answer = await ask(server.url, `/v1/plans/${plan}/epochs/1/steps/${3 + i}?${view}`);
      const step = decodeStream(answer.body);
      expect(columns).toEqual(step.batches[0]);
      expect(types).toEqual(step.types);
      rows += Number(step.metadata['logitcask.rows']);
    }
    const { rank = '0', world = '1' } = Object.fromEntries(new URLSearchParams(view));
    expect(metadata).toMatchObject({
      'logitcask.rows': String(rows),
      'logitcask.batches': '10',
      'logitcask.plan': plan,
      'logitcask.epoch': '1',
      'logitcask.from': '3',
      'logitcask.to': '13',
      'logitcask.rank': rank,
      'logitcask.world': world,
    });
  });

  it('is read batch by batch by the client, and may be left early', async () => {
    const client = openClient({ url: server.url });
    const address = { plan, epoch: 1, from: 0, to: 13 };
    const batches = await collect(client.stream(address, { layout: 'plain' }));
    expect(batches.map(({ rows }) => rows)).toEqual([...Array<number>(12).fill(8), 5]);
    const step = await client.step({ plan, epoch: 1, step: 7 }, { layout: 'plain' });
    expect(batches[7].targets()).toEqual(step.targets());
    for await (const { rows } of client.stream(address)) {
      expect(rows).toBe(8);
      break;
    }
    client.close();
  });

  it.each([
    ['?from=13', 404, 'step-out-of-range'],
    ['?to=14', 404, 'step-out-of-range'],
    ['?from=4&to=4', 404, 'step-out-of-range'],
    ['?layout=dense', 400, 'request-invalid'],
    ['?rank=2&world=2', 422, 'rank-out-of-range'],
    ['?from=-1', 400, 'request-invalid'],
  ])('%s is refused with %i %s', async (query, status, code) => {
    expect((await ask(server.url, path(query))).json()).toMatchObject({ status, code });
  });

  it('that fails midway breaks off without its end, and the client says so', async () => {
    let reads = 0;
    const failing = watchedStore(made.store, () => {
      if (++reads > 120) throw new Error('the disk is gone');
    });
    const broken = await serve(failing);
    const client = openClient({ url: broken.url });
    const seen: Batch[] = [];
    const all = (async () => {
      for await (const batch of client.stream({ plan, epoch: 1, from: 0, to: 13 }))
        seen.push(batch);
    })();
    await expect(all).rejects.toMatchObject({ code: 'reply-truncated' });
    expect(seen.length).toBeGreaterThan(0);
    expect(seen.length).toBeLessThan(13);
    client.close();
    await broken.close();
  });

  it('is built no faster than it is read, and cut off where nobody reads', async () => {
    let reads = 0;
    const counting = watchedStore(made.store, () => {
      reads++;
    });
    // a batch of 20 MB, so that the kernel's buffers do not take them all
    const slow = await serve(counting, { limits: { write_timeout_ms: 1000, cache_bytes_max: 1 } });
    const wide = `${slow.url}${path('?layout=dense&pad_to=20000&k=16')}`;
    const incoming = await new Promise<IncomingMessage>((resolve) => get(wide, resolve));
    incoming.on('error', () => {});
    const closed = new Promise((resolve) => incoming.on('close', resolve));
    await wait(500);
    const before = reads;
    await wait(200);
    expect(reads).toBe(before);
    expect(before).toBeLessThan(3 * 8 * 12); // one or two of thirteen batches
    incoming.pause();
    await wait(2500);
    incoming.resume();
    await closed;
    expect(incoming.complete).toBe(false);
    await slow.close();
  });
});
