/** Hits: the facade beside servers that answer from memory, and Arrow beside JSON. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Figure, median, spread } from './figure.ts';
import { post, scoring, sequenceOf, startCache, startTeacher } from './live-stage.ts';
import { recordedChoices, recordedK } from './live-teacher.ts';
import { startVllm } from './live-vllm.ts';
import { cpuSeconds, type Listening, listen } from './process.ts';
import { benchPython, scripts } from './venv.ts';

const rounds = 5;
/** Short and many, in turns: other programs disturb both sides alike. */
const slices = 21;
const requests = 100;
/** Until the server has compiled what a hit takes. */
const warmUp = 1500;
const repeats = { arrow: 100, json: 15 };
/** A trainer's batch at the default k. */
const batch = { prompts: 8, length: 256, k: 64 };

type Log = (text: string) => void;

/** Milliseconds of one request after another. */
async function pace(url: string, body: string, count: number): Promise<number> {
  const started = performance.now();
  for (let i = 0; i < count; i++) await post(`${url}/v1/completions`, body);
  return (performance.now() - started) / count;
}

export async function* hits(folder: string, log: Log): AsyncGenerator<Figure> {
  mkdirSync(folder, { recursive: true });
  const prompts = recordedChoices().map(({ prompt_token_ids }) => prompt_token_ids);
  const body = scoring(prompts, recordedK);
  const started: Listening[] = [];
  const keep = async (one: Promise<Listening>) => {
    started.push(await one);
    return started[started.length - 1];
  };
  try {
    const teacher = await keep(startTeacher(0));
    const ours = await keep(
      startCache({ folder: join(folder, 'ours'), teacher: teacher.url, k: recordedK }),
    );
    const reply = join(folder, 'reply.json');
    writeFileSync(reply, await post(`${ours.url}/v1/completions`, body));
    const python = benchPython(log);
    const peer = await keep(listen(python, [join(scripts, 'live_peer.py'), reply]));
    yield await besideFastapi(body, { ours, peer, log });
    yield await besideVllm(body, { ours, log });
    const long = await keep(
      startCache({ folder: join(folder, 'long'), teacher: teacher.url, k: batch.k }),
    );
    yield await arrowBesideJson({ ours: long, folder, python, log });
  } finally {
    for (const one of started) await one.stop();
  }
}

interface Beside {
  readonly ours: Listening;
  readonly log: Log;
}

async function besideFastapi(
  body: string,
  { ours, peer, log }: Beside & { peer: Listening },
): Promise<Figure> {
  for (const { url } of [ours, peer]) await pace(url, body, warmUp);
  const found: [number[], number[]] = [[], []];
  log(`live: hits beside FastAPI, ${slices} rounds`);
  for (let round = 0; round < slices; round++) {
    for (const side of round % 2 === 0 ? [0, 1] : [1, 0]) {
      found[side].push(await pace([ours, peer][side].url, body, requests));
    }
  }
  const ratios = found[1].map((theirs, i) => theirs / found[0][i]);
  return {
    figure: `facade hit, 4 prompts of 388 tokens, k = 16 (${spread(found[0])}; ${spread(ratios)})`,
    unit: 'ms/request',
    value: median(found[0]),
    peer: `FastAPI, the recorded bytes from memory (${spread(found[1])})`,
    peerValue: median(found[1]),
    ratio: median(ratios),
    reach: '≥ 1 × as fast',
    ok: median(ratios) >= 1,
  };
}

async function besideVllm(body: string, { ours, log }: Beside): Promise<Figure> {
  const vllm = await startVllm(log);
  const mine = await pace(ours.url, body, requests);
  const figure = 'facade hit, the same request';
  const base = { figure, unit: 'ms/request', value: mine, reach: '≥ 5 × as fast' };
  if (typeof vllm === 'string') {
    return { ...base, peer: `vLLM CPU: ${vllm}`, peerValue: null, ratio: null, ok: null };
  }
  try {
    await pace(vllm.url, body, 5);
    const found: number[] = [];
    const ratios: number[] = [];
    for (let round = 0; round < rounds; round++) {
      log(`live: hits beside vLLM, round ${round + 1} of ${rounds}`);
      found.push(await pace(vllm.url, body, 10));
      ratios.push(found[round] / (await pace(ours.url, body, requests)));
    }
    const ratio = median(ratios);
    const peer = `vLLM CPU build, small LM (${spread(found)}; ratio ${spread(ratios)})`;
    return { ...base, peer, peerValue: median(found), ratio, ok: ratio >= 5 };
  } finally {
    await vllm.stop();
  }
}

interface Client extends Beside {
  readonly folder: string;
  readonly python: string;
}

async function arrowBesideJson({ ours, folder, python, log }: Client): Promise<Figure> {
  const prompts = Array.from({ length: batch.prompts }, (_, i) => sequenceOf(i, batch.length));
  const body = join(folder, 'prompts.json');
  writeFileSync(body, JSON.stringify(prompts));
  const found: Record<'arrow' | 'json', { server: number; client: number }[]> = {
    arrow: [],
    json: [],
  };
  for (let round = 0; round < rounds; round++) {
    log(`live: Arrow beside JSON, round ${round + 1} of ${rounds}`);
    for (const kind of ['arrow', 'json'] as const) {
      found[kind].push(
        await cpuOf(
          python,
          [kind, ours.url, body, String(batch.k), String(repeats[kind])],
          ours.pid,
        ),
      );
    }
  }
  const whole = (kind: 'arrow' | 'json') =>
    found[kind].map(({ server, client }) => (1000 * (server + client)) / repeats[kind]);
  const part = (kind: 'arrow' | 'json', side: 'server' | 'client') =>
    ((1000 * median(found[kind].map((one) => one[side]))) / repeats[kind]).toPrecision(2);
  const ratios = whole('json').map((json, i) => json / whole('arrow')[i]);
  const parts = (kind: 'arrow' | 'json') =>
    `server ${part(kind, 'server')} + client ${part(kind, 'client')}`;
  return {
    figure: `hit of 8 × 256 tokens, k = 64, /v1/score as Arrow to numpy (${parts('arrow')})`,
    unit: 'CPU-ms/request',
    value: median(whole('arrow')),
    peer: `the facade's JSON to numpy (${parts('json')}; ratio ${spread(ratios)})`,
    peerValue: median(whole('json')),
    ratio: median(ratios),
    reach: '≥ 20 × less CPU',
    ok: median(ratios) >= 20,
  };
}

/** CPU seconds of the repeats, the warm-up left out. */
async function cpuOf(python: string, args: readonly string[], server: number) {
  const script = [join(scripts, 'live_client.py'), ...args];
  const child = spawn(python, script, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  if ((await lines.next()).done) throw new Error('live_client.py ended early');
  const before = cpuSeconds(server);
  child.stdin.write('go\n');
  const { value } = await lines.next();
  const spent = cpuSeconds(server) - before;
  child.stdin.end();
  await once(child, 'close');
  return { server: spent, client: Number(value) };
}
