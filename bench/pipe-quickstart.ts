/** The quickstart as a newcomer runs it: seconds by stage and peak memory. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atMost, type Figure, plain } from './figure.ts';
import { cli, measure } from './process.ts';

export async function* quickstart(log: (text: string) => void): AsyncGenerator<Figure> {
  log('quickstart: build, serve, pull');
  const store = mkdtempSync(join(tmpdir(), 'logitcask-quickstart-'));
  try {
    const args = [cli, 'quickstart', '--once', '--json', '--store', store];
    const { stdout, seconds, memory } = await measure(process.execPath, args);
    const { build, pulled } = JSON.parse(stdout);
    yield atMost('quickstart, all', 's', seconds, 120);
    for (const [stage, value] of Object.entries(build.seconds)) {
      yield plain(`quickstart, ${stage}`, 's', value as number);
    }
    yield plain('quickstart, serve and pull', 's', pulled.seconds);
    yield atMost('quickstart, peak memory', 'MiB', memory / 2 ** 20, 512);
  } finally {
    rmSync(store, { recursive: true });
  }
}
