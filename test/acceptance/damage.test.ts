import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openStore } from '../../src/store/table.ts';
import { ask, makeStore, postPlan, serve, shape, type TestStore } from '../fixtures.ts';

let made: TestStore;
beforeAll(async () => {
  made = await makeStore();
});
afterAll(() => made.remove());

describe('a damaged shard', () => {
  it('is named; samples of the others are still served, now and in the next run', async () => {
    const [shard] = made.planes.manifest.files.filter(({ role }) => role === 'shard');
    const server = await serve(made.store);
    const { plan: ordered } = (
      await postPlan(server.url, 'planes', { global_batch: 1, shuffle: { mode: 'none' } })
    ).json();
    await server.close();
    const path = join(made.folder, 'store', 'planes', 'files', shard.name);
    const good = readFileSync(path);
    const bad = Buffer.from(good);
    // beyond the small columns of the first batch lie its frames
    for (let at = 4000; at < bad.length - 4000; at += 500) bad[at] ^= 0x10;
    writeFileSync(path, bad);
    try {
      for (let run = 0; run < 2; run++) {
        const store = await openStore(join(made.folder, 'store'));
        const replica = await serve(store);
        const codes = new Set<string>();
        for (let ordinal = 0; ordinal < shape.samples; ordinal++) {
          const answer = await ask(replica.url, `/v1/plans/${ordered}/epochs/0/steps/${ordinal}`);
          if (ordinal >= shard.samples) expect(answer.status).toBe(200);
          else if (answer.status !== 200) {
            expect(answer.json().detail).toContain(shard.name);
            codes.add(answer.json().code);
          } else expect(run).toBe(0); // not yet known to be damaged, and its own frame is whole
        }
        expect(codes.size).toBeGreaterThan(0);
        const known = run === 0 ? ['frame-damaged', 'shard-damaged'] : ['shard-damaged'];
        for (const code of codes) expect(known).toContain(code);
        await replica.close();
        await store.close();
      }
    } finally {
      writeFileSync(path, good);
    }
  });
});
