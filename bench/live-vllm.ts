/** vLLM's CPU build with the small LM, where test/live/vllm.sh has installed it. */
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, openSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Listening } from './process.ts';

const root = new URL('../../', import.meta.url).pathname;
const port = 18_511;
const startSecondsMax = 300;

/** Its address, or why it does not run. */
export async function startVllm(log: (text: string) => void): Promise<Listening | string> {
  const live = join(root, '.live');
  if (!existsSync(join(live, 'installed'))) return 'not installed (test/live/vllm.sh installs it)';
  const model = join(live, 'bench-model');
  mkdirSync(model, { recursive: true });
  const files = join(root, 'bench', 'data', 'small-lm');
  for (const name of readdirSync(files)) {
    const own = name === 'model.f16.safetensors' ? 'model.safetensors' : name;
    cpSync(join(files, name), join(model, own));
  }
  log('live: starting vLLM, about a minute');
  const flags = { 'served-model-name': 'small-lm', 'max-logprobs': '64', 'max-model-len': '256' };
  const more = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
  const address = ['--host', '127.0.0.1', '--port', String(port), '--dtype', 'float32'];
  const output = openSync(join(live, 'bench-vllm.log'), 'w');
  const child = spawn(
    join(live, 'venv', 'bin', 'python'),
    [
      '-m',
      'vllm.entrypoints.openai.api_server',
      '--model',
      model,
      '--enforce-eager',
      ...more,
      ...address,
    ],
    {
      stdio: ['ignore', output, output],
      env: {
        ...process.env,
        VLLM_CPU_KVCACHE_SPACE: '1',
        HF_HUB_OFFLINE: '1',
        VLLM_NO_USAGE_STATS: '1',
      },
    },
  );
  const ended = new Promise((resolve) => child.on('close', resolve));
  const url = `http://127.0.0.1:${port}`;
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
  };
  for (let second = 0; second < startSecondsMax && child.exitCode === null; second++) {
    const up = await fetch(`${url}/health`).catch(() => undefined);
    if (up?.ok) return { child: child as Listening['child'], pid: child.pid as number, url, stop };
    await wait(1000);
  }
  if (child.exitCode === null) await stop();
  return 'it does not start (.live/bench-vllm.log)';
}
