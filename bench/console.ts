/** The console's first paint on a data set of many shards, in a real Chromium. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { bytesOf } from '../src/formats/layout.ts';
import { findChromium, openBrowser } from './browser.ts';
import { atMost, type Figure, median, plain, spread } from './figure.ts';
import { npyHeader, writeIds } from './inputs.ts';
import { multiply } from './multiplied.ts';
import { cli, listen, measure } from './process.ts';

const rounds = 5;
const shards = 10_000;
const positions = 4;
const width = 16;
const paintMsMax = 1000;
const requestBytesMax = 1_000_000;
const dataset = 'shards';

interface Visit {
  /** Milliseconds from the start of the visit. */
  readonly painted: number;
  /** Until the snapshot's facts stand in its row. */
  readonly shown: number;
  /** Bytes of the bodies, by address. */
  readonly bodies: ReadonlyMap<string, number>;
}

export async function* consoleFigures(log: (text: string) => void): AsyncGenerator<Figure> {
  const figure = `console: first paint on a data set of ${shards} shards`;
  const chromium = findChromium();
  if (chromium === undefined) {
    const missing = `${figure} (no Chromium: apt-get install chromium, or set CHROMIUM)`;
    yield { ...plain(missing, 'ms', 0), value: null, reach: `≤ ${paintMsMax}` };
    return;
  }
  log(`console: one shard of one sample, linked ${shards} times, opened ${rounds} times`);
  const folder = mkdtempSync(join(tmpdir(), 'logitcask-console-'));
  try {
    const store = join(folder, 'store');
    await buildShard(folder, store);
    await multiply(store, dataset, () => shards);
    const server = await listen(process.execPath, [cli, 'serve', '--store', store, '--port', '0']);
    const browser = await openBrowser(chromium);
    try {
      yield* figuresOf(figure, await visits(browser, server.url));
    } finally {
      await browser.close();
      await server.stop();
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function* figuresOf(figure: string, found: readonly Visit[]): Generator<Figure> {
  const painted = found.map((visit) => visit.painted);
  yield atMost(`${figure} (${spread(painted)})`, 'ms', median(painted), paintMsMax);
  const shown = found.map((visit) => visit.shown);
  const facts = 'console: until the facts of its snapshot are shown';
  yield plain(`${facts} (first ${shown[0].toFixed(0)})`, 'ms', median(shown));
  const bodies = found.flatMap((visit) => [...visit.bodies]);
  const [address, most] = bodies.reduce((a, b) => (b[1] > a[1] ? b : a));
  yield atMost(`console: largest reply (${address})`, 'B', most, requestBytesMax);
}

async function visits(browser: Browser, url: string): Promise<Visit[]> {
  const found: Visit[] = [];
  for (let round = 0; round < rounds; round++) found.push(await visit(browser, url));
  return found;
}

/** Each in a context of its own: nothing is cached but what the server keeps. */
async function visit(browser: Browser, url: string): Promise<Visit> {
  const context = await browser.newContext();
  const page = await context.newPage();
  const bodies = new Map<string, number>();
  const reading: Promise<unknown>[] = [];
  page.on('response', (response) => {
    const { pathname } = new URL(response.url());
    reading.push(response.body().then((body) => bodies.set(pathname, body.length)));
  });
  const started = performance.now();
  await page.goto(url);
  await page
    .getByRole('row')
    .filter({ hasText: String(shards.toLocaleString('en')) })
    .waitFor();
  const shown = performance.now() - started;
  const painted = (await page.evaluate(
    'performance.getEntriesByName("first-contentful-paint")[0].startTime',
  )) as number;
  await Promise.all(reading);
  await context.close();
  return { painted, shown, bodies };
}

async function buildShard(folder: string, store: string): Promise<void> {
  const tokens = Int32Array.from({ length: positions }, (_, i) => i);
  const logits = Float32Array.from({ length: positions * width }, (_, at) => {
    return Math.floor(at / width) + 1 === at % width ? 4 : 0; // the next token is the peak
  });
  const files = { logits: join(folder, 'logits.npy'), tokens: join(folder, 'tokens.npy') };
  const header = npyHeader('<f4', [positions, width]);
  writeFileSync(files.logits, Buffer.concat([header, bytesOf(logits)]));
  writeIds(files.tokens, tokens);
  const inputs = ['--logits', files.logits, '--tokens', files.tokens, '--store', store];
  const shape = ['--sample-length', String(positions), '--k', '2', '--dataset', dataset];
  await measure(process.execPath, [cli, 'build', ...inputs, ...shape]);
}
