/** Child processes under measure: output, wall and CPU seconds, peak resident memory. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

export const cli = new URL('../src/cli.js', import.meta.url).pathname;
const ticksPerSecond = 100; // USER_HZ, fixed on Linux

export interface Measured {
  readonly stdout: string;
  readonly seconds: number;
  /** User and system seconds of all its threads; true while no other child ends meanwhile. */
  readonly cpu: number;
  /** Peak resident set, bytes. */
  readonly memory: number;
}

/** Peak resident set of a live process (VmHWM), bytes. */
export function peakMemory(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024;
}

/** User and system seconds of a live process. */
export function cpuSeconds(pid: number): number {
  const [user, system] = timesOf(pid);
  return (user + system) / ticksPerSecond;
}

/** The same of all children of this process that have ended. */
function endedSeconds(): number {
  const [, , user, system] = timesOf('self');
  return (user + system) / ticksPerSecond;
}

/** Its own user and system ticks, then those of its children. */
function timesOf(pid: number | 'self'): number[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).map(Number);
}

/** Runs a command to its end; throws with its output where it fails. */
export async function measure(command: string, args: readonly string[]): Promise<Measured> {
  const started = performance.now();
  const before = endedSeconds();
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let memory = 0;
  const sample = setInterval(() => {
    try {
      memory = Math.max(memory, peakMemory(child.pid as number));
    } catch {
      // it has just ended: the last sample stands
    }
  }, 50);
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (text) => {
    output.stdout += text;
  });
  child.stderr.on('data', (text) => {
    output.stderr += text;
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  clearInterval(sample);
  if (code !== 0)
    throw new Error(`${command} ${args.join(' ')} ended with ${code}: ${output.stderr}`);
  const seconds = (performance.now() - started) / 1000;
  return { stdout: output.stdout, seconds, cpu: endedSeconds() - before, memory };
}

export interface Listening {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts a server that prints a line with its URL, and waits for that line. */
export async function listen(command: string, args: readonly string[]): Promise<Listening> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const url = await new Promise<string>((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (piece) => {
      text += piece;
      const found = /https?:\/\/[0-9.]+:\d+/.exec(text)?.[0];
      if (found !== undefined) resolve(found);
    });
    child.on('close', () => reject(new Error(`${command} ended before it listened`)));
  });
  return {
    child,
    pid: child.pid as number,
    url,
    async stop() {
      const ended = new Promise((resolve) => child.on('close', resolve));
      child.kill('SIGTERM');
      await ended;
    },
  };
}
