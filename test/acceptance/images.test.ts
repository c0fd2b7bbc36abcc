import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BuildReport, build } from '../../src/build.ts';
import { sha256Hex } from '../../src/formats/canonical.ts';
import type { RunningServer } from '../../src/serve/server.ts';
import { imagePath } from '../../src/shard/names.ts';
import type { Store } from '../../src/store/store.ts';
import { openStore } from '../../src/store/table.ts';
import { ask, type Question, serve } from '../fixtures.ts';
import { configOf } from '../support/dump.ts';
import { png, writeImages } from '../support/images.ts';

const text = (latin1: string) => Buffer.from(latin1, 'latin1');
/** First bytes that decide, and what is made of them. */
const kinds: readonly (readonly [type: string | undefined, bytes: Buffer])[] = [
  ['image/png', png(2, 1, Uint8Array.of(255, 0, 0, 0, 0, 255))],
  ['image/jpeg', text('\xff\xd8\xff\xe0\x00\x10JFIF')],
  ['image/gif', text('GIF89a\x01\x00')],
  ['image/webp', text('RIFF\x1a\x00\x00\x00WEBPVP8L')],
  [undefined, text('<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>')],
  [undefined, text('<!doctype html><script>alert(1)</script>')],
  [undefined, text('P5 1 1 255\n\x00')],
  [undefined, text('')],
];

describe('images', () => {
  let folder: string;
  let store: Store;
  let server: RunningServer;
  let mine: BuildReport;
  let digests: readonly string[];
  const other = text('GIF87a of another data set');
  const bare = text('GIF87a that is not stored');
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'logitcask-http-images-'));
    const path = join(folder, 'store');
    const make = (dataset: string, all: readonly Buffer[], more: Record<string, unknown> = {}) => {
      const written = writeImages(folder, dataset, { samples: all.map((bytes) => ({ bytes })) });
      ({ digests } = written);
      const source = { ...written.source, ...more };
      return build(configOf({ store: path, dataset, source }), { dataFolder: 'data' });
    };
    await make('other', [other]);
    await make('bare', [bare], { store_images: false });
    mine = await make(
      'mine',
      kinds.map(([, bytes]) => bytes),
    );
    store = await openStore(path);
    server = await serve(store);
  });
  afterAll(async () => {
    await server.close();
    await store.close();
    rmSync(folder, { recursive: true });
  });

  const diskPath = (sha256: string) => join(folder, 'store', imagePath('mine', sha256));
  const get = (sha256: string, question: Question = {}, at = 'mine/snapshots/latest') =>
    ask(server.url, `/v1/datasets/${at}/images/${sha256}`, question);

  it('come as the kind that their first bytes are, and run nothing', async () => {
    for (const [i, [type, bytes]] of kinds.entries()) {
      const { status, headers, body } = await get(digests[i]);
      expect(status).toBe(200);
      expect(body.equals(bytes)).toBe(true);
      expect(headers).toMatchObject({
        'content-type': type ?? 'application/octet-stream',
        'content-length': String(bytes.length),
        'content-security-policy': "default-src 'none'; sandbox; frame-ancestors 'none'",
        'x-content-type-options': 'nosniff',
        'cross-origin-resource-policy': 'same-origin',
        etag: `"${digests[i]}"`,
      });
      const kept = type === undefined ? `attachment; filename="${digests[i]}"` : undefined;
      expect(headers['content-disposition']).toBe(kept);
    }
  });

  it('are immutable by digest, asked for again by a tag, and not sent to whoever has them', async () => {
    const [sha256] = digests;
    const byDigest = await get(sha256, {}, `mine/snapshots/${mine.snapshot}`);
    expect(byDigest.headers['cache-control']).toBe('public, max-age=31536000, immutable');
    expect((await get(sha256)).headers['cache-control']).toBe('no-cache');
    const again = await get(sha256, { headers: { 'if-none-match': `"${sha256}"` } });
    expect([again.status, again.body.length]).toEqual([304, 0]);
    const head = await get(sha256, { method: 'HEAD' });
    expect([head.status, head.body.length]).toEqual([200, 0]);
    expect(head.headers['content-length']).toBe(String(kinds[0][1].length));
  });

  it('are those that the snapshot names, and stores, alone', async () => {
    const stray = text('GIF87a that nothing names');
    mkdirSync(join(diskPath(sha256Hex(stray)), '..'), { recursive: true });
    writeFileSync(diskPath(sha256Hex(stray)), stray);
    for (const bytes of [stray, other, bare, text('nothing')]) {
      const sha256 = sha256Hex(bytes);
      const held: Record<string, string>[] = [{}, { 'if-none-match': `"${sha256}"` }];
      for (const headers of held) {
        const answer = await get(sha256, { headers });
        expect([answer.status, answer.json()]).toMatchObject([404, { code: 'image-not-found' }]);
      }
    }
    const unstored = await get(sha256Hex(bare), {}, 'bare/snapshots/latest');
    expect([unstored.status, unstored.json()]).toMatchObject([404, { code: 'image-not-found' }]);
    expect(unstored.body.toString()).toContain('--store-images');
  });

  it('are found by a digest, and by nothing that is none', async () => {
    const [sha256] = digests;
    const names = [
      '../../../../tags/latest',
      '..%2f..%2f..%2f..%2ftags%2flatest',
      '%2e%2e/%2e%2e/tags/latest',
      '/etc/passwd',
      'file:%2f%2f%2fetc%2fpasswd',
      sha256.toUpperCase(),
      sha256.slice(1),
      `${sha256}0`,
      `${sha256}%00`,
      `${sha256}/..`,
      `${sha256.slice(0, 2)}/${sha256}`,
      `${sha256}.png`,
    ];
    for (const name of names) {
      const { status, headers } = await get(name);
      expect([400, 404], name).toContain(status);
      expect(headers['content-type'], name).toMatch('application/problem+json');
    }
  });

  it('are proved before a byte is sent', async () => {
    const [, sha256] = digests;
    const path = diskPath(sha256);
    const good = readFileSync(path);
    const refused = async () => {
      const answer = await get(sha256);
      expect([answer.status, answer.json()]).toMatchObject([500, { code: 'image-damaged' }]);
      expect(answer.headers['cache-control']).toBe('no-store');
      expect(answer.headers.etag).toBeUndefined();
    };
    writeFileSync(path, Buffer.from(good).fill(7, 5, 6));
    await refused();
    writeFileSync(path, good.subarray(1));
    await refused();
    writeFileSync(path, Buffer.concat([good, good]));
    await refused();
    rmSync(path);
    await refused();
    symlinkSync('/etc/passwd', path);
    expect((await get(sha256)).status).toBe(500);
    rmSync(path);
    writeFileSync(path, good);
    expect((await get(sha256)).status).toBe(200);
  });

  it('need the scope to read where the server has tokens', async () => {
    const token = 'a'.repeat(32);
    const closed = await serve(store, {
      tokens: [{ name: 'one', sha256: sha256Hex(text(token)), scopes: ['read'] }],
    });
    try {
      const path = `/v1/datasets/mine/snapshots/latest/images/${digests[0]}`;
      expect((await ask(closed.url, path)).status).toBe(401);
      const headers = { authorization: `Bearer ${token}` };
      expect((await ask(closed.url, path, { headers })).status).toBe(200);
    } finally {
      await closed.close();
    }
  });
});
