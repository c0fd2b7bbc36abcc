/** Images through the whole pipe: build, verify, serve, client. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Manifest } from '../../schemas/manifest.ts';
import { verifySnapshot } from '../../src/audit/verify.ts';
import { build } from '../../src/build.ts';
import type { Client } from '../../src/client/client.ts';
import { openClient } from '../../src/client/client.ts';
import type { RunningServer } from '../../src/serve/server.ts';
import type { Store } from '../../src/store/store.ts';
import { openStore } from '../../src/store/table.ts';
import { ask, serve } from '../fixtures.ts';
import { type Digits, views, writeDigits } from '../support/digits.ts';
import { configOf } from '../support/dump.ts';

describe('digits', () => {
  let folder: string;
  let digits: Digits;
  let store: Store;
  let server: RunningServer;
  let client: Client;
  let manifest: Manifest;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'logitcask-digits-'));
    digits = await writeDigits(folder);
    const path = `${folder}/store`;
    const shard = { bytes_max: 65_536, batch_bytes_max: 4096 };
    const config = configOf({ store: path, dataset: 'digits', source: digits.source, shard });
    ({ manifest } = await build(config, { dataFolder: 'data' }));
    store = await openStore(path);
    server = await serve(store);
    client = openClient({ url: server.url });
  });
  afterAll(async () => {
    client.close();
    await server.close();
    await store.close();
    rmSync(folder, { recursive: true });
  });

  it('are a snapshot that is proved whole', async () => {
    expect(manifest).toMatchObject({ kind: 'vision', alignment: null });
    expect(manifest.totals).toMatchObject({ samples: 96, positions: 96 * views });
    const report = await verifySnapshot(store, { dataset: 'digits', snapshot: 'latest' });
    expect(report.problems).toEqual([]);
  });

  it('come in batches', async () => {
    for (const layout of ['frames', 'plain', 'dense'] as const) {
      const batch = await client.rows({ dataset: 'digits', offset: 3, length: 5, layout });
      expect(batch.rows).toBe(5);
    }
    const answer = await ask(server.url, '/v1/datasets/digits/snapshots/latest/rows?length=1');
    expect(answer.json()).toMatchObject({ rows: [{ meta: { digit: digits.labels[0] } }] });
  });
});
