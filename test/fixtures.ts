/** A small store with the same samples in every codec, servers over it, and HTTP spoken plainly. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ContainerName } from '../schemas/common.ts';
import type { input } from '../schemas/parse.ts';
import { serveConfig } from '../schemas/serve-config.ts';
import { type BuildReport, build } from '../src/build.ts';
import { type RunningServer, startServer } from '../src/serve/server.ts';
import type { Store } from '../src/store/store.ts';
import { openStore } from '../src/store/table.ts';
import { configOf, npy, random } from './support/dump.ts';

/** 100 samples of 32 positions and a last one of 13. */
export const shape = { positions: 3213, vocabulary: 500, sampleLength: 32, samples: 101, k: 16 };

export interface TestStore {
  readonly folder: string;
  readonly store: Store;
  readonly logits: Float32Array;
  readonly tokens: Int32Array;
  readonly planes: BuildReport;
  readonly raw: BuildReport;
  readonly plain: BuildReport;
  /** The columns of `plain` in Parquet. */
  readonly parquet: BuildReport;
  remove(): Promise<void>;
}

/** Logits with a heavy tail; tokens mostly follow the peak, so that alignment holds. */
function writeLogits(folder: string): { logits: Float32Array; tokens: Int32Array } {
  const { positions, vocabulary } = shape;
  const next = random(11);
  const logits = new Float32Array(positions * vocabulary);
  const tokens = new Int32Array(positions);
  for (let t = 0; t < positions; t++) {
    let best = 0;
    for (let v = 0; v < vocabulary; v++) {
      const at = t * vocabulary + v;
      logits[at] = -1.5 * Math.log(next() + 1e-9);
      if (logits[at] > logits[t * vocabulary + best]) best = v;
    }
    if (t + 1 < positions) tokens[t + 1] = next() < 0.8 ? best : Math.floor(next() * vocabulary);
  }
  const write = (name: string, bytes: Buffer) => writeFileSync(join(folder, name), bytes);
  write('logits.npy', npy('<f4', [positions, vocabulary], new Uint8Array(logits.buffer)));
  write('tokens.npy', npy('<i4', [positions], new Uint8Array(tokens.buffer)));
  return { logits, tokens };
}

/**
 * Data sets `planes`, `raw`, `plain` and `parquet` of the same samples, in several shards and
 * batches.
 */
export async function makeStore(): Promise<TestStore> {
  const folder = mkdtempSync(join(tmpdir(), 'logitcask-serve-'));
  const inputs = writeLogits(folder);
  const path = join(folder, 'store');
  const buildAs = (type: 'planes' | 'raw' | 'plain', format: ContainerName = 'arrow') =>
    build(
      configOf({
        store: path,
        dataset: format === 'arrow' ? type : format,
        format,
        source: {
          type: 'dump',
          logits: join(folder, 'logits.npy'),
          tokens: join(folder, 'tokens.npy'),
          sample_length: shape.sampleLength,
        },
        sparsifier: { type: 'top-k', k: shape.k },
        codec: { type },
        temperatures: [2],
        shard: { bytes_max: 65_536, batch_bytes_max: 8192 },
        reference: { positions: 16, entries: 64 },
      }),
      { dataFolder: 'data' },
    );
  const planes = await buildAs('planes');
  const raw = await buildAs('raw');
  const plain = await buildAs('plain');
  const parquet = await buildAs('plain', 'parquet');
  const store = await openStore(path);
  return {
    folder,
    store,
    ...inputs,
    planes,
    raw,
    plain,
    parquet,
    async remove() {
      await store.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A server on a free port of loopback. */
export function serve(
  store: Store,
  config: input<typeof serveConfig> = {},
): Promise<RunningServer> {
  return startServer({
    store,
    config: serveConfig.parse({ port: 0, log: { level: 'silent' }, ...config }),
  });
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The body as JSON. */
  json(): Record<string, never>;
}

export interface Question {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  readonly agent?: Agent;
}

/** One request, its path sent byte for byte. */
export function ask(url: string, path: string, question: Question = {}): Promise<Answer> {
  const { method = 'GET', headers, body, agent = new Agent() } = question;
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const outgoing = request({ hostname, port, path, method, headers, agent }, (incoming) => {
      const pieces: Buffer[] = [];
      incoming.on('data', (piece) => pieces.push(piece));
      incoming.on('error', reject);
      incoming.on('end', () => {
        const whole = Buffer.concat(pieces);
        resolve({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          body: whole,
          json: () => JSON.parse(whole.toString()),
        });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** POSTs a plan over one snapshot. */
export async function postPlan(
  url: string,
  dataset: string,
  request: Record<string, unknown> = {},
): Promise<Answer> {
  return ask(url, '/v1/plans', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ streams: [{ dataset }], ...request }),
  });
}
