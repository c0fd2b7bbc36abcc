/** `npm run bench -- serve`: steps over HTTP beside what a user would pick instead. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Benchmark, type Figure, plain } from './figure.ts';
import { cli, listen } from './process.ts';
import { cold } from './serve-cold.ts';
import { load } from './serve-load.ts';
import { buildStore, peers, requireNginx, type Stage } from './serve-peers.ts';
import { benchPython } from './venv.ts';

export const serve: Benchmark = {
  name: 'serve',
  summary: 'steps over HTTP: CPU beside peers, latency, memory, a cold start',
  async *run(log) {
    const folder = mkdtempSync(join(tmpdir(), 'logitcask-serve-'));
    try {
      const store = await buildStore(folder, log);
      const server = await listen(process.execPath, [
        cli,
        'serve',
        '--store',
        store,
        '--port',
        '0',
      ]);
      try {
        yield* besidePeers({ folder, store, server, log });
      } finally {
        await server.stop();
      }
      yield* load({ folder, store, log });
      yield* cold(folder, log);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
};

/** Without one of the peers there are no figures; a wrong batch, of theirs or ours, is an error. */
async function* besidePeers(stage: Omit<Stage, 'python'>): AsyncGenerator<Figure> {
  let python: string;
  try {
    python = benchPython(stage.log);
    requireNginx();
  } catch (error) {
    const reason = (error as Error).message.split('\n')[0];
    const figure = `beside peers: one of them cannot be installed (${reason})`;
    yield { ...plain(figure, 'CPU-s/M positions', 0), value: null, peer: 'nginx, Flight, FastAPI' };
    return;
  }
  yield* peers({ ...stage, python });
}
