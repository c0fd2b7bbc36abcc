/** The Python client's loss beside the usual ways to write it: CPU and memory of one call. */
import { join } from 'node:path';
import { type Benchmark, type Figure, median, smaller } from './figure.ts';
import { measure } from './process.ts';
import { benchPython, packageFolder, scripts } from './venv.ts';

const rounds = 3;
const calls = 5;
/** bfloat16 logits of the script's shape. */
const logitsBytes = 2 * 1024 * 32_768;

const peers = {
  gathered: 'the same, gathered from a log-softmax',
  whole: 'KL over all V',
} as const;

interface Cost {
  readonly seconds: number;
  readonly grown: number;
}

export const losses: Benchmark = {
  name: 'losses',
  summary: 'kd_loss and its gradient, 1,024 positions, V=32,768, K=64, bfloat16, one thread',
  async *run(log): AsyncGenerator<Figure> {
    const python = benchPython(log);
    process.env.PYTHONPATH = packageFolder;
    const found: Record<string, Cost[]> = { ours: [], gathered: [], whole: [] };
    for (let round = 1; round <= rounds; round++) {
      log(`round ${round} of ${rounds}`);
      for (const [name, costs] of Object.entries(found)) {
        const args = [join(scripts, 'losses.py'), name, String(calls)];
        costs.push(JSON.parse((await measure(python, args)).stdout));
      }
    }
    const seconds = (name: string) => median(found[name].map((cost) => cost.seconds));
    const copies = (name: string) => median(found[name].map((cost) => cost.grown)) / logitsBytes;
    for (const [key, name] of Object.entries(peers)) {
      const cpu = { figure: 'CPU of a call', unit: 's', value: seconds('ours') };
      yield smaller(cpu, { name, value: seconds(key) }, null);
      const memory = { figure: 'memory it adds', unit: 'copies of the logits' };
      yield smaller({ ...memory, value: copies('ours') }, { name, value: copies(key) }, null);
    }
  },
};
