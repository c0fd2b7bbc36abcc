/**
 * Two contenders' CPU, in turns. Both clients are started, checked and warmed, and stay: a new one
 * would be measured while its connections still find their pace. Then each pulls for about as much
 * CPU as a turn has, in the order A B B A, so that the halves of a pair lie within a second and
 * meet the same machine. What counts is the median of the pairs' ratios; beside it stands the
 * middle half of them.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { scripts } from './venv.ts';

/** CPU of a turn, unless an epoch takes more. */
const turnSeconds = 0.3;

export interface Contender {
  readonly name: string;
  /** Processes whose CPU counts beside the client's. */
  readonly pids: readonly number[];
  readonly source: string;
  readonly args: readonly string[];
  /** Bytes on the wire, a position. */
  readonly bytes: number;
}

interface Turn {
  /** Seconds of servers and client together. */
  readonly cpu: number;
  readonly positions: number;
}

interface Puller {
  turn(): Promise<Turn>;
  close(): Promise<void>;
}

/** CPU seconds a million positions, of each pair's turns. */
export async function inTurns(
  python: string,
  contenders: readonly [Contender, Contender],
  pairs: number,
): Promise<[number[], number[]]> {
  const found: [number[], number[]] = [[], []];
  const pullers: Puller[] = [];
  try {
    for (const one of contenders) pullers.push(await openPuller(python, one));
    for (let pair = 0; pair < pairs; pair++) {
      for (const side of pair % 2 === 0 ? [0, 1] : [1, 0]) {
        const { cpu, positions } = await pullers[side].turn();
        found[side].push((cpu / positions) * 1e6);
      }
    }
  } finally {
    for (const puller of pullers) await puller.close();
  }
  return found;
}

/** A client that has seen every batch right, and knows how many epochs make a turn. */
async function openPuller(python: string, { pids, source, args }: Contender): Promise<Puller> {
  const [kind, ...more] = args;
  const script = [join(scripts, 'pull.py'), kind, source, pids.join(), ...more];
  const child = spawn(python, script, { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  child.stdin.on('error', () => {}); // it has ended: the line that does not come says so
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const { done, value } = await lines.next();
    if (done) throw new Error(`${script.join(' ')} ended early`);
    return value;
  };
  const pull = async (epochs: number): Promise<Turn> => {
    child.stdin.write(`${epochs}\n`);
    return JSON.parse(await next());
  };
  const close = async () => {
    child.stdin.end();
    await ended;
  };
  try {
    await next();
    let epochs = 1;
    for (;;) {
      const { cpu } = await pull(epochs);
      if (cpu >= turnSeconds) break;
      epochs = Math.ceil(epochs * Math.min(4, (1.1 * turnSeconds) / cpu));
    }
    return { turn: () => pull(epochs), close };
  } catch (error) {
    await close();
    throw error;
  }
}
