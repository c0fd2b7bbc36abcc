/** The benchmarks' own Python environment, made once from pinned requirements. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sha256Hex } from '../src/formats/canonical.ts';

const root = new URL('../../', import.meta.url).pathname;

/** Path of a Python with torch, pyarrow, FastAPI and our own package. */
export function benchPython(log: (text: string) => void): string {
  const folder = join(root, 'bench', '.venv');
  const python = join(folder, 'bin', 'python');
  const requirements = join(root, 'bench', 'python', 'requirements.txt');
  const stamp = join(folder, 'requirements.sha256');
  const digest = sha256Hex(readFileSync(requirements));
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== digest) {
    log('installing torch, pyarrow and FastAPI into bench/.venv');
    execFileSync('python3', ['-m', 'venv', '--clear', folder]);
    execFileSync(python, ['-m', 'pip', 'install', '--quiet', '-r', requirements], {
      stdio: 'ignore',
    });
    writeFileSync(stamp, digest);
  }
  return python;
}

/** Where scripts and our package lie. */
export const scripts = join(root, 'bench', 'python');
export const packageFolder = join(root, 'python');
