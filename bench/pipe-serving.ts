/** Batches of 8 × 1,024 positions into torch tensors: CPU seconds beside FastAPI + pyarrow. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Figure, median, plain, smaller, spread } from './figure.ts';
import { repeatedDump } from './inputs.ts';
import { cli, cpuSeconds, type Listening, listen, measure } from './process.ts';
import { benchPython, packageFolder, scripts } from './venv.ts';

const rounds = 5;
const epochs = 8;
const repeats = 128; // 65,536 positions: 64 samples of 1,024

interface Contender {
  readonly name: string;
  readonly server: Listening;
  readonly args: readonly string[];
  readonly found: number[];
}

export async function* serving(log: (text: string) => void): AsyncGenerator<Figure> {
  let python: string;
  try {
    python = benchPython(log);
  } catch (error) {
    const reason = (error as Error).message.split('\n')[0];
    const figure = `batches beside FastAPI + pyarrow: the peer cannot be installed (${reason})`;
    yield { ...plain(figure, 'CPU-s/M positions', 0), value: null, peer: 'FastAPI + pyarrow' };
    return;
  }
  process.env.PYTHONPATH = packageFolder;
  const store = mkdtempSync(join(tmpdir(), 'logitcask-serving-'));
  const servers: Listening[] = [];
  try {
    log('serving: building raw and planes snapshots of 64 samples of 1,024 positions');
    const { logits, tokens } = await repeatedDump(repeats);
    const common = [cli, 'build', '--logits', logits, '--tokens', tokens, '--store', store];
    const shape = [...common, '--sample-length', '1024', '--k', '64'];
    await measure(process.execPath, [...shape, '--dataset', 'raw', '--codec', 'raw']);
    await measure(process.execPath, [...shape, '--dataset', 'zstd']);
    await measure(process.execPath, [...shape, '--dataset', 'lz4', '--compression', 'lz4']);
    const start = async (command: string, args: readonly string[]) => {
      const server = await listen(command, args);
      servers.push(server);
      return server;
    };
    const ours = await start(process.execPath, [cli, 'serve', '--store', store, '--port', '0']);
    const peer = async (compression: string): Promise<Contender> => {
      const script = [join(scripts, 'peer_server.py'), ours.url, 'raw', compression];
      const server = await start(python, script);
      const args = ['peer', server.url, String(repeats / 2 / 8), String(epochs)];
      const suffix = compression === 'none' ? '' : `, ${compression}`;
      const name = `FastAPI + Arrow encoded once${suffix}`;
      return { name, server, args, found: [] };
    };
    const own = (dataset: string, layout: string): Contender => {
      const args = ['ours', ours.url, dataset, layout, String(epochs)];
      return { name: `${layout} from ${dataset}`, server: ours, args, found: [] };
    };
    const uncompressed = await peer('none');
    const zstd = await peer('zstd');
    const pairs = [
      [own('raw', 'dense'), uncompressed],
      [own('zstd', 'frames'), zstd],
      [own('lz4', 'frames'), zstd],
      [own('zstd', 'dense'), uncompressed],
    ] as const;
    for (const [mine, theirs] of pairs) {
      theirs.found.length = 0;
      for (let round = 0; round < rounds; round++) {
        log(`serving: ${mine.name}, round ${round + 1} of ${rounds}`);
        for (const one of [mine, theirs]) one.found.push(await cost(python, one));
      }
      const figure = `${mine.name}, to torch (${spread(mine.found)})`;
      yield smaller(
        { figure, unit: 'CPU-s/M positions', value: median(mine.found) },
        { name: `${theirs.name} (${spread(theirs.found)})`, value: median(theirs.found) },
        null,
      );
    }
  } finally {
    for (const server of servers) await server.stop();
    rmSync(store, { recursive: true });
  }
}

/** CPU seconds of server and client together, a million positions; the warm-up is not counted. */
async function cost(python: string, { server, args }: Contender): Promise<number> {
  const child = spawn(python, [join(scripts, 'pull.py'), ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  await lines.next(); // it is warm
  const before = cpuSeconds(server.pid);
  child.stdin.write('go\n');
  const { value: text } = await lines.next();
  const after = cpuSeconds(server.pid);
  child.stdin.end('done\n');
  await once(child, 'close');
  const { positions, cpu } = JSON.parse(text);
  return ((cpu + after - before) / positions) * 1e6;
}
