/**
 * Temporary files: hidden names that say which process writes them, so that orphans can be told.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { makeFolder } from './folders.ts';

const host = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);
const pattern = /^\.tmp-([0-9a-f]{8})-([0-9]+)-[0-9a-f]+$/;
const foreignAgeMaxMs = 24 * 3600 * 1000;

export function temporaryName(unique: string): string {
  return `.tmp-${host}-${process.pid}-${unique}`;
}

/** A new name in the folder of `path`, which is made. */
export async function temporaryBeside(path: string): Promise<string> {
  await makeFolder(dirname(path));
  return join(dirname(path), temporaryName(randomBytes(6).toString('hex')));
}

/** Whether a process of this machine is alive. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** A writer on another machine cannot be asked: its files count as orphans after a day. */
async function isOrphan(path: string, owner: { host: string; pid: number }): Promise<boolean> {
  if (owner.host === host) return owner.pid !== process.pid && !isAlive(owner.pid);
  return Date.now() - (await stat(path)).mtimeMs > foreignAgeMaxMs;
}

/** Removes orphans below a folder, which may be missing; returns how many. */
export async function sweepFolder(folder: string): Promise<number> {
  let removed = 0;
  const entries = await readdir(folder, { withFileTypes: true }).catch((error) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) removed += await sweepFolder(path);
    const match = pattern.exec(entry.name);
    if (match === null || !entry.isFile()) continue;
    if (!(await isOrphan(path, { host: match[1], pid: Number(match[2]) }))) continue;
    await rm(path, { force: true });
    removed++;
  }
  return removed;
}
