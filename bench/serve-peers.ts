/** Batches of 8 × 1,024 positions at K=64 into torch tensors: CPU of server and client together. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { openClient } from '../src/client/client.ts';
import { type Figure, median, middleHalf } from './figure.ts';
import { repeatedDump } from './inputs.ts';
import { cli, type Listening, listen, measure } from './process.ts';
import { type Contender, inTurns } from './serve-turns.ts';
import { packageFolder, scripts } from './venv.ts';

const samples = 128;
const steps = samples / 8;
const nginxPort = 8_797;

interface Pair {
  readonly ours: Contender;
  readonly peer: Contender;
  /** Turns of each. */
  readonly turns: number;
  /** Most of the peer's CPU. */
  readonly most: number;
  /** Least bytes of the peer, a byte of ours. */
  readonly fewer?: number;
}

export interface Stage {
  readonly python: string;
  readonly folder: string;
  readonly store: string;
  readonly server: Listening;
  readonly log: (text: string) => void;
}

const builds: Readonly<Record<string, readonly string[]>> = {
  raw: ['--k', '64', '--codec', 'raw'],
  zstd: ['--k', '64', '--codec', 'planes', '--step', 'fine'],
  lz4: ['--k', '64', '--codec', 'planes', '--step', 'fine', '--compression', 'lz4'],
  unbiased: ['--sparsifier', 'threshold', '--tau', '0.05'],
  unbiasedLz4: ['--sparsifier', 'threshold', '--tau', '0.05', '--compression', 'lz4'],
};

const datasets = Object.keys(builds);

export async function buildStore(folder: string, log: Stage['log']): Promise<string> {
  log(`serve: building ${datasets} of ${samples} samples of 1,024 positions`);
  const store = join(folder, 'store');
  const { logits, tokens } = await repeatedDump(samples * 2, { scaled: true });
  for (const [dataset, more] of Object.entries(builds)) {
    const inputs = ['--logits', logits, '--tokens', tokens, '--sample-length', '1024'];
    const common = [cli, 'build', '--store', store, '--dataset', dataset, ...inputs];
    await measure(process.execPath, [...common, ...more]);
  }
  return store;
}

export function snapshotOf(store: string, dataset: string): string {
  return readFileSync(join(store, dataset, 'tags', 'latest'), 'utf8').trim();
}

export async function* peers(stage: Stage): AsyncGenerator<Figure> {
  const { python, folder, log } = stage;
  process.env.PYTHONPATH = packageFolder;
  const sizes = await bodySizes(stage);
  const source = join(folder, 'source');
  const args = [stage.server.url, 'raw', snapshotOf(stage.store, 'raw'), source];
  execFileSync(python, [join(scripts, 'source.py'), ...args], {
    input: `${sizes.dense.join(' ')}\n`,
  });
  await warmUp(stage);
  const servers: Listening[] = [];
  try {
    for (const pair of await contenders(stage, { source, sizes, servers })) {
      const { ours, peer, turns } = pair;
      log(`serve: ${ours.name} beside ${peer.name}, ${turns} turns each`);
      yield* figuresOf(pair, await inTurns(python, [ours, peer], turns));
    }
  } finally {
    for (const server of servers) await server.stop();
  }
}

function* figuresOf({ ours, peer, most, fewer }: Pair, [mine, theirs]: [number[], number[]]) {
  const ratios = mine.map((value, i) => value / theirs[i]);
  const ratio = median(ratios);
  yield {
    figure: `${ours.name}, to torch (${middleHalf(mine)}; ratio ${middleHalf(ratios)})`,
    unit: 'CPU-s/M positions',
    value: median(mine),
    peer: `${peer.name} (${middleHalf(theirs)})`,
    peerValue: median(theirs),
    ratio,
    reach: `≤ ${most} × its CPU`,
    ok: ratio <= most,
  };
  if (fewer === undefined) return;
  yield {
    figure: `${ours.name}: bytes on the wire`,
    unit: 'B/position',
    value: ours.bytes,
    peer: peer.name,
    peerValue: peer.bytes,
    ratio: peer.bytes / ours.bytes,
    reach: `≥ ${fewer} × fewer`,
    ok: peer.bytes / ours.bytes >= fewer,
  };
}

interface Sizes {
  readonly dense: readonly number[];
  readonly frames: Readonly<Record<string, number>>;
}

/** Steps after which the engine has compiled what a step takes; of millions in a training run. */
const warmSteps = 12_000;

/** Each of our contenders' requests, until the server is at its pace. */
async function warmUp({ server, store, log }: Stage): Promise<void> {
  log('serve: warming the server up');
  const client = openClient({ url: server.url });
  const { plan } = await client.createPlan({ streams: [{ dataset: 'raw' }], global_batch: 8 });
  for (let i = 0; i < warmSteps; i++) {
    const dataset = datasets[i % datasets.length];
    const layout = dataset === 'raw' ? 'dense' : 'frames';
    const view = { layout, dtype: 'float32', snapshot: snapshotOf(store, dataset) } as const;
    await client.step({ plan, epoch: 0, step: Math.floor(i / datasets.length) % steps }, view);
  }
  client.close();
}

/** Bytes of our own bodies. */
async function bodySizes({ server, store }: Stage): Promise<Sizes> {
  const client = openClient({ url: server.url });
  const { plan } = await client.createPlan({ streams: [{ dataset: 'raw' }], global_batch: 8 });
  const size = async (dataset: string, step: number, layout: 'dense' | 'frames') => {
    const view = { layout, dtype: 'float32', snapshot: snapshotOf(store, dataset) } as const;
    return (await client.step({ plan, epoch: 0, step }, view)).bytes.length;
  };
  const dense: number[] = [];
  for (let step = 0; step < steps; step++) dense.push(await size('raw', step, 'dense'));
  const frames: Record<string, number> = {};
  for (const dataset of datasets.filter((name) => name !== 'raw')) {
    let total = 0;
    for (let step = 0; step < steps; step++) total += await size(dataset, step, 'frames');
    frames[dataset] = total / samples / 1024;
  }
  client.close();
  return { dense, frames };
}

interface Made {
  readonly source: string;
  readonly sizes: Sizes;
  /** Grows by what is started. */
  readonly servers: Listening[];
}

async function contenders(stage: Stage, { source, sizes, servers }: Made): Promise<Pair[]> {
  const { python, folder, store, server } = stage;
  const start = async (...args: string[]) => {
    const started = await listen(python, [join(scripts, 'peer_server.py'), ...args]);
    servers.push(started);
    return started;
  };
  const file = (dtype: string) => join(source, `${dtype}.npz`);
  const ours = (dataset: string, layout: string): Contender => ({
    name: `${layout} of ${dataset}`,
    pids: [server.pid],
    source: file('float32'),
    args: ['ours', server.url, dataset, snapshotOf(store, dataset), layout, 'float32'],
    bytes: sizes.frames[dataset],
  });
  const peer = (name: string, dtype: string, started: Listening, bytes: number): Contender => ({
    name,
    pids: [started.pid],
    source: file(dtype),
    args: [/^[a-z]+/.exec(name)?.[0] ?? '', started.url],
    bytes,
  });
  const nginx = await startNginx(join(folder, 'nginx'), join(source, 'raw'));
  servers.push(nginx);
  const zstd = await start('fastapi', file('float16'), 'zstd');
  const flight16 = await start('flight', file('float16'));
  const flight32 = await start('flight', file('float32'));
  const own = 64 * 6 + 8; // ids, float16 log-probs, tokens, rest
  const fastapi = peer('fastapi + Arrow encoded once, ZSTD', 'float16', zstd, await bytesOf(zstd));
  const dense = ours('raw', 'dense');
  const lists: Contender = {
    ...peer('datasets with_format("torch"), list columns', 'float16', nginx, own),
    pids: [],
    args: ['datasets', join(folder, 'lists')],
  };
  const nginxPull = peer('nginx + http.client', 'float32', nginx, 0);
  const unbiasedPeer = peer('flight, dense top-64', 'float16', flight16, own);
  const frames = { zstd: ours('zstd', 'frames'), lz4: ours('lz4', 'frames') };
  const turns = 20;
  return [
    { ours: dense, peer: nginxPull, turns, most: 1.15 },
    { ours: dense, peer: peer('flight, per batch', 'float32', flight32, 0), turns, most: 0.9 },
    { ours: frames.zstd, peer: fastapi, turns, most: 1, fewer: 2 },
    { ours: frames.lz4, peer: fastapi, turns, most: 0.7 },
    { ours: ours('unbiased', 'frames'), peer: unbiasedPeer, turns, most: 1.3, fewer: 8 },
    { ours: ours('unbiasedLz4', 'frames'), peer: unbiasedPeer, turns, most: 1.3, fewer: 8 },
    // far apart, and an epoch of it takes seconds
    { ours: frames.zstd, peer: lists, turns: 4, most: 1 / 25 },
  ];
}

/** Mean of the bodies, a position. */
async function bytesOf({ url }: Listening): Promise<number> {
  let total = 0;
  for (let step = 0; step < steps; step++) {
    total += (await (await fetch(`${url}/steps/${step}`)).arrayBuffer()).byteLength;
  }
  return total / samples / 1024;
}

/** Throws where it is not installed. */
export function requireNginx(): void {
  execFileSync('nginx', ['-v'], { stdio: 'ignore' });
}

/** One worker, on loopback; its process is the master's child. */
export async function startNginx(home: string, root: string): Promise<Listening> {
  mkdirSync(home);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const paths = temporary.map((name) => `${name}_temp_path ${home}/${name};`).join(' ');
  const config = join(home, 'nginx.conf');
  writeFileSync(
    config,
    `daemon off; user ${userInfo().username}; worker_processes 1;
    pid ${home}/pid; error_log ${home}/error.log;
    events {} http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
    ${paths} server { listen 127.0.0.1:${nginxPort}; root ${root}; } }`,
  );
  const child = spawn('nginx', ['-c', config], { stdio: 'inherit' });
  const url = `http://127.0.0.1:${nginxPort}`;
  for (let attempt = 0; ; attempt++) {
    const up = await fetch(url, { method: 'HEAD' }).catch(() => undefined);
    if (up !== undefined) break;
    if (attempt === 50 || child.exitCode !== null) throw new Error('nginx does not answer');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const children = `/proc/${child.pid}/task/${child.pid}/children`;
  const pid = Number(readFileSync(children, 'utf8').trim().split(' ')[0]);
  const ended = once(child, 'close');
  return {
    child,
    pid,
    url,
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}
