import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serveConfig } from '../../schemas/serve-config.ts';
import { type RunningServer, startServer } from '../../src/serve/server.ts';
import { openStore } from '../../src/store/table.ts';
import { ask } from '../fixtures.ts';

const page = '<!doctype html><title>console</title>';
let folder = '';
let running: RunningServer[] = [];
const start = async (config: object, webFolder: string) => {
  const store = await openStore(join(folder, 'store'));
  const parsed = serveConfig.parse({ port: 0, log: { level: 'silent' }, ...config });
  const server = await startServer({ store, config: parsed, webFolder });
  running.push(server);
  return server.url;
};

let url = '';
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'logitcask-web-'));
  const web = join(folder, 'web');
  mkdirSync(join(web, 'assets'), { recursive: true });
  writeFileSync(join(web, 'index.html'), page);
  writeFileSync(join(web, 'assets', 'index-Ab12.js'), 'export {};');
  writeFileSync(join(web, 'assets', 'index-Ab12.css'), 'a{}');
  const sha256 = createHash('sha256').update('secret').digest('hex');
  url = await start({ tokens: [{ name: 'a', sha256, scopes: ['read'] }] }, web);
});
afterAll(async () => {
  await Promise.all(running.map((server) => server.close()));
  running = [];
  rmSync(folder, { recursive: true });
});

const guarded = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
};

describe('the console', () => {
  it.each(['/', '/?x=1', '/datasets', '/datasets/a/snapshots/b/samples?at=3', '/builds', '/plans'])(
    'is one page for all its addresses, without a token: %s',
    async (path) => {
      const { status, body, headers } = await ask(url, path);
      expect([status, body.toString()]).toEqual([200, page]);
      expect(headers).toMatchObject({
        ...guarded,
        'content-type': 'text/html; charset=utf-8',
        'cache-control': 'no-cache',
      });
      const again = await ask(url, path, { headers: { 'if-none-match': `${headers.etag}` } });
      expect([again.status, again.body.length]).toEqual([304, 0]);
    },
  );

  it('has files that never change under their names', async () => {
    const script = await ask(url, '/assets/index-Ab12.js');
    expect(script.body.toString()).toBe('export {};');
    expect(script.headers).toMatchObject({
      ...guarded,
      'content-type': 'text/javascript; charset=utf-8',
      'cache-control': 'public, max-age=31536000, immutable',
    });
    const style = await ask(url, '/assets/index-Ab12.css', { method: 'HEAD' });
    expect([style.status, style.body.length]).toEqual([200, 0]);
    expect(style.headers).toMatchObject({
      'content-type': 'text/css; charset=utf-8',
      'content-length': '3',
    });
  });

  it.each([
    '/assets/none.js',
    '/assets/',
    '/assets/../index.html',
    '/assets/%2e%2e/index.html',
    '/assets/..%2f..%2fstore',
    '/index.html',
    '/data',
  ])('has nothing at %s', async (path) => {
    expect((await ask(url, path)).json()).toMatchObject({ status: 404, code: 'route-not-found' });
  });

  it('does not open the interface behind it', async () => {
    expect((await ask(url, '/v1/datasets')).json()).toMatchObject({ code: 'unauthorized' });
  });

  it('says how to build it where it is not; the interface works on', async () => {
    const bare = await start({}, join(folder, 'none'));
    const { status, body, headers } = await ask(bare, '/');
    expect([status, headers['cache-control']]).toEqual([404, 'no-store']);
    expect(headers).toMatchObject(guarded);
    expect(body.toString()).toContain('npm run build');
    expect((await ask(bare, '/v1/datasets')).json()).toEqual({ datasets: [], next: null });
  });
});
