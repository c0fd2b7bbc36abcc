import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { serveConfig } from '../../schemas/serve-config.ts';
import type { CommitReply, UploadReply } from '../../schemas/upload.ts';
import { verifySnapshot } from '../../src/audit/verify.ts';
import { type OpenUploads, openUploads } from '../../src/push/uploads.ts';
import { type RunningServer, startServer } from '../../src/serve/server.ts';
import { createReader } from '../../src/shard/open-snapshot.ts';
import { resolveSnapshot } from '../../src/shard/snapshot.ts';
import { useStore } from '../support/folder.ts';
import { arrow, bodyOf, digestHeader, pushedSample, uploadOf } from '../support/pushed.ts';

const place = useStore();
let server: RunningServer;
let uploads: OpenUploads;
const start = async (leaseMs = 3_600_000) => {
  uploads = openUploads({ store: place.store, leaseMs });
  const config = serveConfig.parse({ port: 0, limits: { upload_bytes_max: 1_000_000 } });
  server = await startServer({ store: place.store, config, uploads });
};
const stop = async () => {
  await server.close();
  await uploads.close();
};
beforeEach(() => start());
afterEach(stop);

const call = async (method: string, path: string, body?: unknown, headers = {}) => {
  const isBytes = Buffer.isBuffer(body);
  const type = isBytes ? arrow : 'application/json';
  const reply = await fetch(`${server.url}/v1/datasets/${path}`, {
    method,
    headers: { ...(body !== undefined && { 'content-type': type }), ...headers },
    body: isBytes ? new Uint8Array(body) : body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await reply.text();
  const json = text === '' ? {} : JSON.parse(text);
  return { status: reply.status, body: json as UploadReply & CommitReply & Problem };
};
interface Problem {
  code: string;
  expected: unknown;
  got: unknown;
}

const open = async (more: object = {}, dataset = 'd') => {
  const { status, body } = await call('POST', `${dataset}/uploads`, uploadOf(more));
  expect(status).toBe(201);
  return `${dataset}/uploads/${body.upload}`;
};
const put = (upload: string, shard: number, body: Buffer) =>
  call('PUT', `${upload}/shards/${shard}`, body, { 'content-digest': digestHeader(body) });
const commit = (upload: string, match = '*', body: object = {}) =>
  call('POST', `${upload}/commit`, body, { 'if-match': match });

const seeds = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => pushedSample(from + i));
const tokensOf = async (snapshot: string) => {
  const reader = createReader(place.store, await resolveSnapshot(place.store, 'd', snapshot));
  const { samples } = reader.manifest.totals;
  const found: number[][] = [];
  for (let i = 0; i < samples; i++) {
    const { tokens } = await reader.read([i], ['tokens']);
    found.push([...new Int32Array(new Uint8Array(tokens.buffers[1]).buffer)]);
  }
  await reader.close();
  return found;
};
const plain = (samples: ReturnType<typeof seeds>) => samples.map(({ tokens }) => [...tokens]);

describe('uploads', () => {
  it('become one snapshot, in the order of their shards, whole and proved', async () => {
    const upload = await open();
    expect((await put(upload, 7, bodyOf(seeds(10, 20)))).status).toBe(200);
    expect((await put(upload, 2, bodyOf(seeds(0, 10)))).status).toBe(200);
    const { body: there } = await call('GET', upload);
    expect(there.shards.map(({ shard, samples }) => [shard, samples])).toEqual([
      [2, 10],
      [7, 10],
    ]);
    expect((await call('GET', 'd')).body.code).toBe('dataset-not-found');
    const { status, body } = await commit(upload);
    expect(body).toMatchObject({ parent: null, samples: 20, duplicates: 0 });
    expect(status).toBe(200);
    expect(await tokensOf(body.snapshot)).toEqual(plain(seeds(0, 20)));
    const { manifest } = await resolveSnapshot(place.store, 'd', 'latest');
    expect(manifest.target_sets[0]).toMatchObject({
      teacher: { name: 'known', revision: '1', source: 'push', reports: 'top-list' },
      kind: 'scaled',
    });
    expect(manifest.target_sets[0].fidelity?.kl?.mean).toBeLessThan(1e-4);
    const report = await verifySnapshot(place.store, { dataset: 'd', snapshot: body.snapshot });
    expect(report.problems).toEqual([]);
    expect((await call('GET', upload)).body).toMatchObject({ shards: [], commit: body });
    expect((await commit(upload)).body).toEqual(body);
    expect((await put(upload, 9, bodyOf(seeds(30, 31)))).body.code).toBe('conflict');
  });

  it('take a shard again with the same bytes, and no others under its number', async () => {
    const upload = await open();
    const body = bodyOf(seeds(0, 8));
    const first = await put(upload, 0, body);
    expect(await put(upload, 0, body)).toEqual(first);
    expect(await put(upload, 0, bodyOf(seeds(1, 9)))).toMatchObject({
      status: 409,
      body: { code: 'conflict' },
    });
    const both = await Promise.all([put(upload, 1, body), put(upload, 1, bodyOf(seeds(3, 9)))]);
    expect(both.map(({ status }) => status).sort()).toEqual([200, 409]);
  });

  it('leave out what comes twice, in the upload and against the parent', async () => {
    const first = await open();
    await put(first, 0, bodyOf(seeds(0, 10)));
    await put(first, 1, bodyOf(seeds(5, 15)));
    const { body: parent } = await commit(first);
    expect(parent).toMatchObject({ samples: 15, duplicates: 5 });
    const second = await open();
    await put(second, 0, bodyOf([...seeds(12, 20), pushedSample(19)]));
    const { body } = await commit(second, `"${parent.snapshot}"`);
    expect(body).toMatchObject({ parent: parent.snapshot, samples: 5, duplicates: 4 });
    expect(await tokensOf(body.snapshot)).toEqual(plain(seeds(0, 20)));
    const third = await open();
    await put(third, 0, bodyOf(seeds(0, 20)));
    expect((await commit(third)).body).toEqual({
      ...body,
      parent: body.snapshot,
      samples: 0,
      duplicates: 20,
    });
  });

  it('are refused where the head is another one, and say which', async () => {
    const [one, two] = [await open(), await open()];
    await put(one, 0, bodyOf(seeds(0, 10)));
    await put(two, 0, bodyOf(seeds(10, 20)));
    const none = { 'if-none-match': '*' };
    const { body: head } = await call('POST', `${one}/commit`, {}, none);
    const late = await call('POST', `${two}/commit`, {}, none);
    expect(late).toMatchObject({
      status: 412,
      body: { code: 'snapshot-moved', expected: null, got: head.snapshot },
    });
    expect((await commit(two, `"${'0'.repeat(64)}"`)).status).toBe(412);
    expect((await commit(two, 'anything')).status).toBe(400);
    expect((await commit(two, '*', { shards: 2 })).body).toMatchObject({
      code: 'conflict',
      expected: 2,
      got: 1,
    });
    expect((await commit(two, `"${head.snapshot}"`, { shards: 1 })).body.samples).toBe(10);
  });

  it('are shared by workers that name them, and by one commit', async () => {
    const open = (more = {}) => call('POST', 'd/uploads', uploadOf({ upload: 'run-7', ...more }));
    const replies = await Promise.all([open(), open(), open()]);
    expect(replies.map(({ status }) => status).sort()).toEqual([200, 200, 201]);
    expect((await open({ licence: 'CC0' })).body.code).toBe('conflict');
    await Promise.all(
      [0, 1, 2, 3].map((n) => put('d/uploads/run-7', n, bodyOf(seeds(8 * n, 8 * n + 8)))),
    );
    const commits = await Promise.all([commit('d/uploads/run-7'), commit('d/uploads/run-7')]);
    expect(commits[0]).toEqual(commits[1]);
    expect(commits[0].body.samples).toBe(32);
  });

  it('refuse a teacher that is not shifted right, in a shard or as a whole', async () => {
    const upload = await open();
    const wrong = await put(upload, 0, bodyOf(seeds(0, 10), { shift: 1 }));
    expect(wrong).toMatchObject({ status: 422, body: { code: 'source-misaligned' } });
    for (let n = 0; n < 10; n++) await put(upload, n, bodyOf(seeds(n, n + 1), { shift: -1 }));
    const refused = await commit(upload);
    expect(refused).toMatchObject({ status: 422, body: { code: 'source-misaligned' } });
    expect((await call('GET', upload)).body.commit).toBeNull();
  });

  it('refuse another teacher than that of the data set', async () => {
    const upload = await open();
    await put(upload, 0, bodyOf(seeds(0, 10)));
    await commit(upload);
    const other = uploadOf({ teacher: { name: 'other', revision: '1' } });
    expect((await call('POST', 'd/uploads', other)).body.code).toBe('conflict');
    expect((await call('POST', 'd/uploads', uploadOf({ vocabulary: 301 }))).status).toBe(409);
  });

  it('end when they are aborted, or nobody pushes for the time of a lease', async () => {
    const upload = await open();
    await put(upload, 0, bodyOf(seeds(0, 8)));
    expect((await call('DELETE', upload)).status).toBe(204);
    expect((await put(upload, 0, bodyOf(seeds(0, 8)))).body.code).toBe('upload-not-found');
    expect(await place.store.list('d/uploads')).toEqual([]);
    await stop();
    await start(1000);
    const late = await open();
    await put(late, 0, bodyOf(seeds(0, 8)));
    await expect.poll(() => place.store.list('d/uploads'), { timeout: 10_000 }).toEqual([]);
    expect((await commit(late)).status).toBe(404);
  });

  it('survive the server: shards, and a commit that was not answered', async () => {
    const upload = await open();
    await put(upload, 0, bodyOf(seeds(0, 10)));
    await stop();
    await start();
    await put(upload, 1, bodyOf(seeds(10, 20)));
    const { body } = await commit(upload);
    // as if the server had died before it noted the end: the shards are there, the reply is not
    const again = await open({ upload: 'again' });
    await put(again, 0, bodyOf(seeds(20, 30)));
    const { body: second } = await commit(again);
    await place.store.remove(`${again}/commit.json`.replace('d/', 'd/'));
    await put(again, 0, bodyOf(seeds(20, 30)));
    const more = await open();
    await put(more, 0, bodyOf(seeds(30, 40)));
    await commit(more);
    expect((await commit(again, `"${body.snapshot}"`)).body).toEqual(second);
  });

  it('refuse what was changed on the way, is too large, or is damaged in the store', async () => {
    const upload = await open();
    const body = bodyOf(seeds(0, 10));
    const digest = { 'content-digest': digestHeader(Buffer.concat([body, body])) };
    expect((await call('PUT', `${upload}/shards/0`, body, digest)).body.code).toBe(
      'digest-mismatch',
    );
    expect((await call('PUT', `${upload}/shards/0`, body)).body.code).toBe('request-invalid');
    expect((await put(upload, 0, Buffer.alloc(1_000_001))).body.code).toBe('body-too-large');
    await put(upload, 0, body);
    const [name] = (await place.store.list(upload)).filter((name) => name.endsWith('.shard'));
    const file = await place.store.readAll(`${upload}/${name}`);
    file[file.length - 200] ^= 1;
    writeFileSync(place.path(`${upload}/${name}`), file);
    expect((await commit(upload)).body.code).toBe('shard-damaged');
  });
});

describe('a shard that is not what it should be', () => {
  it('is refused with a code, whatever byte was changed, and nothing of it is kept', async () => {
    const upload = await open();
    const body = bodyOf(seeds(0, 3));
    const codes = new Set<string>();
    let taken = 0;
    for (let i = 0; i < 150; i++) {
      const other = Buffer.from(body);
      const at = (i * 7919) % other.length;
      other[at] ^= 1 << (i % 8);
      other.writeUInt8(i % 3 === 0 ? 255 : other[at], at);
      const { status, body: reply } = await put(
        upload,
        i,
        i % 5 === 0 ? other.subarray(at) : other,
      );
      if (status === 200) taken++;
      else codes.add(reply.code);
    }
    const known = ['request-invalid', 'row-invalid', 'token-out-of-range'];
    expect([...codes].filter((code) => !known.includes(code))).toEqual([]);
    expect(codes.size).toBeGreaterThan(0);
    expect((await call('GET', upload)).body.shards).toHaveLength(taken);
    expect((await call('GET', '../../healthz')).status).toBe(200);
  });
});
