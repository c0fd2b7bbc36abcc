/** The console in a real browser, over a small store of real text; whatever goes wrong is kept. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { findChromium, openBrowser } from '../../bench/browser.ts';
import type { input } from '../../schemas/parse.ts';
import type { serveConfig } from '../../schemas/serve-config.ts';
import { build } from '../../src/build.ts';
import { openTokenizer } from '../../src/capture/tokenizer.ts';
import type { Store } from '../../src/store/store.ts';
import { openStore } from '../../src/store/table.ts';
import { serve } from '../fixtures.ts';
import { configOf, npy, random } from './dump.ts';

export const chromiumPath = findChromium();
if (chromiumPath === undefined) {
  console.warn('skipped: no Chromium on the path (or in CHROMIUM); `apt-get install chromium`');
}

const tokenizerFile = 'data/kjv-tokenizer-8192.json';
const vocabulary = 8192;
const text =
  'In the beginning God created the heaven and the earth. And the earth was without form, and ' +
  'void; and darkness was upon the face of the deep.\nAnd the Spirit of God moved upon the face ' +
  'of the waters. And God said, Let there be light: and there was light.\n';

/** Data sets `kept` (top-k, scaled) and `drawn` (unbiased) of 8 samples of 24 tokens of the text. */
async function fillStore(folder: string): Promise<void> {
  const tokenizer = openTokenizer(readFileSync(tokenizerFile), tokenizerFile);
  const sampleLength = 24;
  const tokens = tokenizer.encode(text.repeat(4)).subarray(0, 8 * sampleLength);
  const next = random(3);
  const logits = new Float32Array(tokens.length * vocabulary);
  for (const [t] of tokens.entries()) {
    const row = logits.subarray(t * vocabulary, (t + 1) * vocabulary);
    for (let v = 0; v < vocabulary; v++) row[v] = -1.5 * Math.log(next() + 1e-9);
    if (t + 1 < tokens.length) row[tokens[t + 1]] += 6 + 8 * next();
  }
  const files = { logits: join(folder, 'logits.npy'), tokens: join(folder, 'tokens.npy') };
  const shape = [tokens.length, vocabulary];
  writeFileSync(files.logits, npy('<f4', shape, new Uint8Array(logits.buffer)));
  writeFileSync(files.tokens, npy('<i4', [tokens.length], new Uint8Array(tokens.slice().buffer)));
  const shared = {
    store: join(folder, 'store'),
    source: {
      type: 'dump',
      ...files,
      tokenizer: tokenizerFile,
      licence: 'public domain',
      sample_length: sampleLength,
    },
    shard: { bytes_max: 65_536, batch_bytes_max: 8192 },
    reference: { positions: 16, entries: 64 },
  };
  const options = { dataFolder: 'data' };
  await build(
    configOf({ ...shared, dataset: 'kept', sparsifier: { type: 'top-k', k: 400 } }),
    options,
  );
  await build(
    configOf({ ...shared, dataset: 'drawn', sparsifier: { type: 'threshold' } }),
    options,
  );
}

export interface Console {
  url: string;
  store: Store;
  folder: string;
  browser: Browser;
  /** A page of its own context, with the scheme of colours asked for. */
  open(path: string, options?: OpenOptions): Promise<Page>;
  /** Bytes of all replies to pages of this file so far, gzipped, by path. */
  readonly sizes: Map<string, number>;
}

export interface OpenOptions {
  readonly scheme?: 'dark' | 'light';
  /** A status that the test asks for, beside those that many do. */
  readonly status?: number;
}

export interface ConsoleOptions {
  readonly config?: input<typeof serveConfig>;
  /** Makes `store` in the folder. */
  readonly fill?: (folder: string) => Promise<void>;
}

/** Filled before the first test; after each, nothing may have gone wrong in any page. */
export function useConsole({ config = {}, fill = fillStore }: ConsoleOptions = {}): Console {
  const wrong: string[] = [];
  const contexts: BrowserContext[] = [];
  const sizes = new Map<string, number>();
  const all = { sizes } as Console;
  const ends: (() => Promise<void>)[] = [];
  beforeAll(async () => {
    all.folder = mkdtempSync(join(tmpdir(), 'logitcask-console-'));
    await fill(all.folder);
    all.store = await openStore(join(all.folder, 'store'));
    const server = await serve(all.store, config);
    all.url = server.url;
    all.browser = await openBrowser(chromiumPath as string);
    ends.push(
      () => all.browser.close(),
      server.close,
      () => all.store.close(),
    );
  });
  all.open = async (path, { scheme = 'light', status } = {}) => {
    const size = { width: 1280, height: 900 };
    const context = await all.browser.newContext({ colorScheme: scheme, viewport: size });
    contexts.push(context);
    const page = await context.newPage();
    watch(page, { origin: all.url, wrong, sizes, status });
    await page.goto(all.url + path);
    await settled(page);
    return page;
  };
  afterEach(async () => {
    await Promise.all(contexts.splice(0).map((context) => context.close()));
    expect(wrong.splice(0)).toEqual([]);
  });
  afterAll(async () => {
    for (const end of ends) await end();
    rmSync(all.folder, { recursive: true, force: true });
  });
  return all;
}

interface Watched {
  readonly origin: string;
  readonly wrong: string[];
  readonly sizes: Map<string, number>;
  readonly status: number | undefined;
}

/** Statuses that a test asks for: Chromium logs each as an error. */
const refused = /status of (400|401|404|409)/;

/** Errors of the page and its console (violations of the policy among them), foreign requests. */
function watch(page: Page, { origin, wrong, sizes, status }: Watched): void {
  page.on('pageerror', (error) => wrong.push(`page: ${error.message}`));
  page.on('console', (message) => {
    const isOurs = message.type() === 'error' || message.type() === 'warning';
    const isAsked = refused.test(message.text()) || message.text().includes(`status of ${status}`);
    if (isOurs && !isAsked) wrong.push(`console: ${message.text()}`);
  });
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(origin) && !url.startsWith('data:')) wrong.push(`request: ${url}`);
  });
  page.on('response', async (response) => {
    const { pathname } = new URL(response.url());
    if (!/^\/(assets\/.*)?$/.test(pathname)) return;
    const body = await response.body().catch(() => undefined);
    if (body !== undefined) sizes.set(pathname, gzipSync(body).length);
  });
}

/** A page that shows its heading, and waits for no reply. */
export async function settled(page: Page): Promise<void> {
  await page.waitForSelector('main h1');
  await page.waitForSelector('main:not([aria-busy])');
  await page.waitForLoadState('networkidle');
}
