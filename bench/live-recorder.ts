/** A recorder at work: what it adds to a forward, and what random kills leave. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atMost, type Figure, plain } from './figure.ts';
import { cli, listen, measure } from './process.ts';
import { teacherModel, writeWindows } from './teaches-inputs.ts';
import { benchPython, packageFolder, scripts } from './venv.ts';

const rounds = 20;
const addedMax = 1.15;
const kills = 100;

export async function* recorderFigures(log: (text: string) => void): AsyncGenerator<Figure> {
  const python = benchPython(log);
  process.env.PYTHONPATH = packageFolder;
  const folder = mkdtempSync(join(tmpdir(), 'logitcask-recorder-'));
  const store = join(folder, 'store');
  const server = await listen(process.execPath, [cli, 'serve', '--store', store, '--port', '0']);
  try {
    log(`recorder: ${rounds} forwards of the small LM`);
    const { train } = writeWindows(folder);
    const script = join(scripts, 'live_recorder.py');
    const args = [script, teacherModel, train, server.url, join(folder, 'spool'), String(rounds)];
    const { stdout } = await measure(python, args);
    const { forward, added, peer, behind, wall } = JSON.parse(stdout);
    yield plain('recorder: a forward of 8 × 256 positions, nothing recorded', 'CPU ms', forward);
    yield plain('recorder: encoding and sending, in threads behind', 'CPU ms', behind);
    yield plain(
      'recorder: added by the clock, threads and server on the same processors',
      '×',
      wall,
    );
    const figure = 'recorder: added to a forward, over top-64 and log-sum-exp alone';
    yield {
      ...atMost(figure, '×', added / peer, addedMax),
      peer: 'torch.topk + logsumexp, CPU ms',
      peerValue: peer,
    };
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true });
  }
  yield killed(log);
}

/** The suite's own test, with more kills: writes that were acknowledged and are not there, once. */
function killed(log: (text: string) => void): Figure {
  log(`recorder: worker and server killed, ${kills} workers`);
  const figure = `recorder: ${kills} random kills of workers, as many of servers: lost or twice`;
  try {
    execFileSync('bash', ['test/python.sh', 'tests/test_recorder_kills.py'], {
      cwd: join(packageFolder, '..'),
      env: { ...process.env, RECORDER_KILLS: String(kills) },
      stdio: 'pipe',
    });
    return atMost(figure, 'writes', 0, 0);
  } catch (error) {
    const said = String((error as { stdout?: Buffer }).stdout ?? error);
    log(said);
    // a test that could not run tells nothing
    if (!/AssertionError|assert /.test(said)) throw error;
    return { ...plain(figure, 'writes', 1), reach: '≤ 0', ok: false };
  }
}
