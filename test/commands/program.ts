/** Runs the built program (`npm test` builds it first) as a user would. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const cli = 'dist/src/cli.js';

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves with the first match in what it prints; rejects where it ends before. */
  printed(pattern: RegExp): Promise<RegExpExecArray>;
}

type Environment = Readonly<Record<string, string>>;

export function start(args: readonly string[], environment: Environment = {}): Running {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('LOGITCASK_'));
  const child = spawn(process.execPath, [cli, ...args], {
    env: { ...Object.fromEntries(inherited), ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stderr.on('data', (text) => {
    stderr += text;
  });
  const waiting = new Set<() => void>();
  child.stdout.on('data', (text) => {
    stdout += text;
    for (const look of waiting) look();
  });
  const ended = new Promise<Ended>((resolve) => {
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
  const printed = (pattern: RegExp) =>
    new Promise<RegExpExecArray>((resolve, reject) => {
      const look = () => {
        const found = pattern.exec(stdout);
        if (found !== null) resolve(found);
      };
      waiting.add(look);
      look();
      ended.then(() => reject(new Error(`it ended without ${pattern}: ${stdout}${stderr}`)));
    });
  return { child, ended, printed };
}

export function run(args: readonly string[], environment: Environment = {}): Promise<Ended> {
  return start(args, environment).ended;
}

/** All files below a folder, status files of builds left out. */
export function filesOf(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.endsWith('/builds'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}
