import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { canonicalJson } from '../../src/formats/canonical.ts';
import type { RunningServer } from '../../src/serve/server.ts';
import { ask, makeStore, serve, type TestStore } from '../fixtures.ts';

let made: TestStore;
let server: RunningServer;
beforeAll(async () => {
  made = await makeStore();
});
afterAll(() => made.remove());
beforeEach(async () => {
  server = await serve(made.store);
});
afterEach(() => server.close());

const shards = () => made.planes.manifest.files.filter(({ role }) => role === 'shard');
const pathOf = (name: string) =>
  `/v1/datasets/planes/snapshots/${made.planes.snapshot}/shards/${name}`;
const diskPath = (name: string) => join(made.folder, 'store', 'planes', 'files', name);
const get = (headers: Record<string, string> = {}, method = 'GET') =>
  ask(server.url, pathOf(shards()[0].name), { method, headers });

describe('files of a snapshot', () => {
  it('come whole, with length, digest and a strong ETag', async () => {
    for (const file of made.planes.manifest.files) {
      const { status, headers, body } = await ask(server.url, pathOf(file.name));
      const digest = createHash('sha256').update(body).digest();
      expect(status).toBe(200);
      expect(digest.toString('hex')).toBe(file.sha256);
      expect(headers).toMatchObject({
        'content-length': String(file.bytes),
        'repr-digest': `sha-256=:${digest.toString('base64')}:`,
        etag: `"${file.sha256}"`,
        'accept-ranges': 'bytes',
        'cache-control': 'public, max-age=31536000, immutable',
        vary: 'Accept, Accept-Encoding',
      });
    }
  });

  it('are described by HEAD as by GET, without a body', async () => {
    const [head, whole] = [await get({}, 'HEAD'), await get()];
    expect([head.status, head.body.length]).toEqual([200, 0]);
    for (const name of ['content-length', 'etag', 'repr-digest', 'accept-ranges']) {
      expect(head.headers[name]).toBe(whole.headers[name]);
    }
    const ranged = await get({ range: 'bytes=0-9' }, 'HEAD');
    expect([ranged.status, ranged.headers['content-length']]).toEqual([
      200,
      whole.headers['content-length'],
    ]);
  });

  it('are not sent again to whoever has them', async () => {
    const { etag = '' } = (await get()).headers;
    const answer = await get({ 'if-none-match': etag, range: 'bytes=0-9' });
    expect([answer.status, answer.body.length, answer.headers.etag]).toEqual([304, 0, etag]);
  });

  it('are addressed by tag without a promise that the name stays', async () => {
    const path = `/v1/datasets/planes/snapshots/latest/shards/${shards()[0].name}`;
    const { status, headers } = await ask(server.url, path);
    expect([status, headers['cache-control']]).toEqual([200, 'no-cache']);
  });
});

describe('a range', () => {
  const size = () => shards()[0].bytes;
  it.each([
    ['bytes=0-9', () => [0, 10]],
    ['bytes=5-5', () => [5, 6]],
    ['BYTES=0-9', () => [0, 10]],
    ['bytes=100-', () => [100, size()]],
    ['bytes=-100', () => [size() - 100, size()]],
    ['bytes=-99999999', () => [0, size()]],
    ['bytes=10-99999999', () => [10, size()]],
    ['bytes=1048570-1048580', () => [1_048_570, 1_048_581]],
  ] as [string, () => number[]][])('%s is answered with that part', async (range, expected) => {
    const whole = readFileSync(diskPath(shards()[0].name));
    const [from, to] = expected();
    const answer = await get({ range });
    if (from >= size()) {
      expect(answer.status).toBe(416);
      return;
    }
    const end = Math.min(to, size());
    expect(answer.status).toBe(206);
    expect(answer.headers['content-range']).toBe(`bytes ${from}-${end - 1}/${size()}`);
    expect(answer.headers['content-length']).toBe(String(end - from));
    expect(answer.body.equals(whole.subarray(from, end))).toBe(true);
  });

  it.each([
    'bytes=5-2',
    'bytes=0-1,5-6',
    'bytes=-',
    'bytes=a-b',
    'bytes=1.5-2',
    'bytes',
    'items=0-5',
    'bytes=0--5',
  ])('%s cannot be read as one range: the whole file comes', async (range) => {
    const answer = await get({ range });
    expect([answer.status, answer.body.length]).toEqual([200, size()]);
    expect(answer.headers['content-range']).toBeUndefined();
  });

  it.each([() => `bytes=${size()}-`, () => 'bytes=99999999999999999999-', () => 'bytes=-0'])(
    'beyond the end is refused with the size',
    async (range) => {
      const answer = await get({ range: range() });
      expect(answer.json()).toMatchObject({ status: 416, code: 'range-not-satisfiable' });
      expect(answer.headers['content-range']).toBe(`bytes */${size()}`);
    },
  );

  it('holds only for the file that If-Range names', async () => {
    const { sha256 } = shards()[0];
    const range = 'bytes=0-9';
    expect((await get({ range, 'if-range': `"${sha256}"` })).status).toBe(206);
    for (const stale of ['"other"', `W/"${sha256}"`, 'Tue, 24 Nov 2026 00:00:00 GMT']) {
      const answer = await get({ range, 'if-range': stale });
      expect([answer.status, answer.body.length]).toEqual([200, size()]);
    }
  });
});

describe('a damaged file', () => {
  const last = () => shards().at(-1)!;
  const good = () => readFileSync(diskPath(last().name));

  it('is refused and named, now and by the next server, until a good copy is back', async () => {
    const { name } = last();
    const bytes = good();
    const flipped = Buffer.from(bytes);
    flipped[bytes.length >> 1] ^= 1;
    writeFileSync(diskPath(name), flipped);
    try {
      for (let run = 0; run < 2; run++) {
        for (const headers of [{}, { range: 'bytes=0-9' }] as Record<string, string>[]) {
          const answer = await ask(server.url, pathOf(name), { headers });
          expect(answer.json()).toMatchObject({ status: 500, code: 'shard-damaged' });
          expect(answer.json().detail).toContain(name);
        }
        expect((await get()).status).toBe(200);
        const known = readFileSync(join(made.folder, 'store', 'quarantine.json'), 'utf8');
        expect(JSON.parse(known).planes[name].expected).toBe(last().sha256);
        await server.close();
        server = await serve(made.store);
      }
    } finally {
      writeFileSync(diskPath(name), bytes);
    }
    await server.close();
    server = await serve(made.store);
    expect((await ask(server.url, pathOf(name))).status).toBe(200);
    const known = readFileSync(join(made.folder, 'store', 'quarantine.json'), 'utf8');
    expect(JSON.parse(known).planes).toEqual({});
  });

  it('that grows shorter behind its proof is refused before a byte is sent', async () => {
    const { name } = last();
    const bytes = good();
    expect((await ask(server.url, pathOf(name))).status).toBe(200);
    truncateSync(diskPath(name), bytes.length - 10);
    try {
      const { headers, json } = await ask(server.url, pathOf(name));
      expect(json()).toMatchObject({ status: 500, code: 'shard-damaged' });
      expect(headers).not.toHaveProperty('etag');
      expect(headers['cache-control']).toBe('no-store');
    } finally {
      writeFileSync(diskPath(name), bytes);
    }
  });

  it('that grows shorter while it is sent ends the connection, never the body', async () => {
    const bytes = randomBytes(3 * 1024 * 1024);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const large = { role: 'tokenizer', name: 'large', bytes: bytes.length, sha256 };
    const files = [...made.planes.manifest.files, { ...large, samples: 0, positions: 0 }];
    const manifest = canonicalJson({ ...made.planes.manifest, files });
    const id = createHash('sha256').update(manifest).digest('hex');
    await made.store.write('planes/files/large', bytes);
    await made.store.write(`planes/snapshots/${id}.json`, Buffer.from(manifest));
    const path = `/v1/datasets/planes/snapshots/${id}/shards/large`;
    expect((await ask(server.url, path)).body.equals(bytes)).toBe(true);
    truncateSync(diskPath('large'), bytes.length - 10);
    await expect(ask(server.url, path)).rejects.toThrow(/aborted|hang up|ECONNRESET/);
  });
});
