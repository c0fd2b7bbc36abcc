/** Servers as teachers: reading their replies, the cost over them, and kills. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { vllm } from '../src/capture/servers/vllm.ts';
import { killCaptures } from './capture-kills.ts';
import { onnx } from './capture-onnx.ts';
import { overhead } from './capture-overhead.ts';
import { type Benchmark, type Figure, median, plain, spread } from './figure.ts';
import { benchPython, scripts } from './venv.ts';

const rounds = 5;
const fixture = 'test/golden/servers/vllm-completions-prompt-logprobs.json.gz';
const wanted = 4;
const kills = 100;

interface Choice {
  prompt_token_ids: number[];
  prompt_logprobs: unknown[];
}

/** Recorded choices as replies of their own, as our requests get them. */
function replies(): { bytes: Buffer; tokens: Int32Array }[] {
  const { response } = JSON.parse(gunzipSync(readFileSync(fixture)).toString());
  return (response.choices as Choice[]).map((choice) => ({
    bytes: Buffer.from(JSON.stringify({ ...response, choices: [choice] })),
    tokens: Int32Array.from(choice.prompt_token_ids),
  }));
}

/** Positions a CPU-second. */
function ours(repeats: number): number {
  const all = replies();
  const started = process.cpuUsage();
  let positions = 0;
  for (let i = 0; i < repeats; i++) {
    for (const { bytes, tokens } of all) {
      positions += vllm.parse(bytes, { tokens, k: 16, width: 8192 }).count;
    }
  }
  const { user, system } = process.cpuUsage(started);
  return positions / ((user + system) / 1e6);
}

async function* parsing(log: (text: string) => void): AsyncGenerator<Figure> {
  const own: number[] = [];
  const peer: number[] = [];
  ours(100);
  for (let round = 0; round < rounds; round++) {
    log(`parsing, round ${round + 1} of ${rounds}`);
    own.push(ours(100));
    const args = [join(scripts, 'capture_peer.py'), fixture, '30'];
    peer.push(Number(execFileSync(benchPython(log), args).toString()));
  }
  const ratios = own.map((value, i) => value / peer[i]);
  yield {
    figure: `vLLM's replies at k = 16 to arrays (${spread(own)}; ratio ${spread(ratios)})`,
    unit: 'positions/CPU-s',
    value: median(own),
    peer: `json.loads into numpy (${spread(peer)})`,
    peerValue: median(peer),
    ratio: median(ratios),
    reach: `≥ ${wanted} ×`,
    ok: median(ratios) >= wanted,
  };
}

async function* killing(log: (text: string) => void): AsyncGenerator<Figure> {
  log(`${kills} kills of build or teacher`);
  const found = await killCaptures({ kills, samples: 300, seed: 1 });
  const { captures, different, inFlight, askedTwice } = found;
  const wrong = different + askedTwice;
  yield {
    ...plain(
      `captures of the same bytes after ${found.kills} kills, ${askedTwice} texts asked twice ` +
        `(${inFlight} again that were under way)`,
      'captures',
      captures - different,
    ),
    reach: `${captures}, and 0 asked twice`,
    ok: wrong === 0,
  };
}

export const capture: Benchmark = {
  name: 'capture',
  summary: 'servers as teachers: what a build costs over them, and what it loses when killed',
  async *run(log) {
    yield* parsing(log);
    yield* overhead(log);
    yield* killing(log);
    yield* onnx(log);
  },
};
