/** Batches of 8 × 1,024 positions at K=64 into torch tensors: CPU of server and client together. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { openClient } from '../src/client/client.ts';
import { type Figure, median, spread } from './figure.ts';
import { repeatedDump } from './inputs.ts';
import { cli, cpuSeconds, type Listening, listen, measure } from './process.ts';
import { packageFolder, scripts } from './venv.ts';

const rounds = 5;
const samples = 64;
const steps = samples / 8;
const nginxPort = 8_797;

export interface Contender {
  readonly name: string;
  /** Processes whose CPU counts beside the client's. */
  readonly pids: readonly number[];
  readonly source: string;
  /** Epochs of a round: about half a second of CPU. */
  readonly epochs: number;
  readonly args: readonly string[];
  /** Bytes on the wire, a position. */
  readonly bytes: number;
}

interface Pair {
  readonly ours: Contender;
  readonly peer: Contender;
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
};

export async function buildStore(folder: string, log: Stage['log']): Promise<string> {
  log(`serve: building ${Object.keys(builds)} of ${samples} samples of 1,024 positions`);
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
      const found: [number[], number[]] = [[], []];
      for (let round = 0; round < rounds; round++) {
        log(`serve: ${pair.ours.name} beside ${pair.peer.name}, round ${round + 1} of ${rounds}`);
        // in turns, so that neither always comes first
        const order = round % 2 === 0 ? [0, 1] : [1, 0];
        for (const side of order) {
          found[side].push(await cost(python, side === 0 ? pair.ours : pair.peer));
        }
      }
      yield* figuresOf(pair, found);
    }
  } finally {
    for (const server of servers) await server.stop();
  }
}

function* figuresOf({ ours, peer, most, fewer }: Pair, [mine, theirs]: [number[], number[]]) {
  const ratios = mine.map((value, i) => value / theirs[i]);
  const ratio = median(ratios);
  yield {
    figure: `${ours.name}, to torch (${spread(mine)}; ratio ${spread(ratios)})`,
    unit: 'CPU-s/M positions',
    value: median(mine),
    peer: `${peer.name} (${spread(theirs)})`,
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
    const dataset = Object.keys(builds)[i % 4];
    const layout = dataset === 'raw' ? 'dense' : 'frames';
    const view = { layout, dtype: 'float32', snapshot: snapshotOf(store, dataset) } as const;
    await client.step({ plan, epoch: 0, step: Math.floor(i / 4) % steps }, view);
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
  for (const dataset of ['zstd', 'lz4', 'unbiased']) {
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
  const ours = (dataset: string, layout: string, epochs: number): Contender => ({
    name: `${layout} of ${dataset}`,
    pids: [server.pid],
    source: file('float32'),
    epochs,
    args: ['ours', server.url, dataset, snapshotOf(store, dataset), layout, 'float32'],
    bytes: sizes.frames[dataset],
  });
  const peer = (name: string, dtype: string, started: Listening, bytes: number): Contender => ({
    name,
    pids: [started.pid],
    source: file(dtype),
    epochs: 20,
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
  const dense = ours('raw', 'dense', 40);
  const lists: Contender = {
    ...peer('datasets with_format("torch"), list columns', 'float16', nginx, own),
    pids: [],
    epochs: 1,
    args: ['datasets', join(folder, 'lists')],
  };
  return [
    { ours: dense, peer: peer('nginx + http.client', 'float32', nginx, 0), most: 1.15 },
    { ours: dense, peer: peer('flight, per batch', 'float32', flight32, 0), most: 0.9 },
    { ours: ours('zstd', 'frames', 10), peer: fastapi, most: 1, fewer: 2 },
    { ours: ours('lz4', 'frames', 10), peer: fastapi, most: 0.7 },
    {
      ours: ours('unbiased', 'frames', 20),
      peer: peer('flight, dense top-64', 'float16', flight16, own),
      most: 1.3,
      fewer: 8,
    },
    { ours: ours('zstd', 'frames', 10), peer: lists, most: 1 / 25 },
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

/** CPU seconds of servers and client together, a million positions; the warm-up is not counted. */
async function cost(python: string, { pids, source, epochs, args }: Contender): Promise<number> {
  const [kind, ...more] = args;
  const script = [join(scripts, 'pull.py'), kind, source, String(epochs), ...more];
  const child = spawn(python, script, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const { done } = await lines.next(); // it is warm, and every batch was right
  if (done) throw new Error(`${script.join(' ')} ended early`);
  const cpu = () => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  const before = cpu();
  child.stdin.write('go\n');
  const { value: text } = await lines.next();
  const after = cpu();
  child.stdin.end('done\n');
  await once(child, 'close');
  const { positions, cpu: own } = JSON.parse(text);
  return ((own + after - before) / positions) * 1e6;
}
