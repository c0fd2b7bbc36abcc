/** Batches large enough to be decoded in threads: the same as those that are not. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readBatch } from '../../src/client/batch.ts';
import { concatRows } from '../../src/formats/layout.ts';
import { ask, makeStore, postPlan, serve, shape, type TestStore } from '../fixtures.ts';

let made: TestStore;
beforeAll(async () => {
  made = await makeStore();
});
afterAll(() => made.remove());

/** All samples in stored order, in steps of so many. */
async function columnsOf(url: string, batch: number, query: string) {
  const request = { global_batch: batch, shuffle: { mode: 'none' } };
  const { plan, steps_per_epoch: steps } = (await postPlan(url, 'planes', request)).json() as never;
  const batches = [];
  for (let step = 0; step < steps; step++) {
    const { body } = await ask(url, `/v1/plans/${plan}/epochs/0/steps/${step}?${query}`);
    batches.push(readBatch(body, { step }));
  }
  const { types } = batches[0];
  const { pad: _, ...own } = types;
  return concatRows(
    own,
    batches.map(({ columns }) => columns),
  );
}

describe('threads that decode', () => {
  it.each([
    'layout=plain',
    `layout=dense&pad_to=${shape.sampleLength}&dtype=float32`,
    `layout=dense&pad_to=${shape.sampleLength}&k=5&temperature=2`,
  ])('give what the event loop would: %s', async (query) => {
    const [few, many] = [await serve(made.store), await serve(made.store)];
    try {
      const small = await columnsOf(few.url, 4, query);
      const large = await columnsOf(many.url, shape.samples, query);
      expect(Object.keys(large)).toEqual(Object.keys(small));
      for (const [name, { rows, buffers }] of Object.entries(small)) {
        expect(large[name].rows).toBe(rows);
        buffers.forEach((buffer, i) => {
          const same = Buffer.compare(buffer, large[name].buffers[i]);
          expect(same, `buffer ${i} of ${name}`).toBe(0);
        });
      }
    } finally {
      await few.close();
      await many.close();
    }
  });

  it('name the sample whose frame is damaged', async () => {
    const server = await serve(made.store);
    const request = { global_batch: shape.samples, shuffle: { mode: 'none' } };
    const { plan } = (await postPlan(server.url, 'planes', request)).json();
    const [shard] = made.planes.manifest.files.filter(({ role }) => role === 'shard');
    const path = join(made.folder, 'store', 'planes', 'files', shard.name);
    const good = readFileSync(path);
    const bad = Buffer.from(good);
    // in the block of the fourth frame
    let at = -1;
    for (let frame = 0; frame < 4; frame++) at = bad.indexOf('LCFR', at + 1);
    bad[at + 100] ^= 1;
    writeFileSync(path, bad);
    try {
      const answer = await ask(server.url, `/v1/plans/${plan}/epochs/0/steps/0?layout=plain`);
      expect(answer.json()).toMatchObject({
        code: 'frame-damaged',
        detail: expect.stringContaining(`sample 3 in ${shard.name}`),
      });
    } finally {
      writeFileSync(path, good);
      await server.close();
    }
  });
});
