/** One writer at a time: a file that names its owner; a dead owner's lock is taken over. */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { LogitcaskError } from '../errors.ts';
import type { Store } from './store.ts';
import { isAlive } from './temporary.ts';

export interface Lock {
  release(): Promise<void>;
}

interface Owner {
  readonly host: string;
  readonly pid: number;
  readonly token: string;
}

/** Tokens that this process holds: another's lock may carry the same pid, from before a restart. */
const held = new Set<string>();

/** Throws `build-running` while a live process of this machine, or any on another, holds it. */
export async function acquireLock(store: Store, name: string): Promise<Lock> {
  const mine: Owner = { host: hostname(), pid: process.pid, token: randomUUID() };
  held.add(mine.token);
  try {
    await take(store, name, mine);
  } catch (error) {
    held.delete(mine.token);
    throw error;
  }
  return {
    async release() {
      held.delete(mine.token);
      await store.remove(name);
    },
  };
}

async function take(store: Store, name: string, mine: Owner): Promise<void> {
  const bytes = Buffer.from(JSON.stringify(mine));
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      return await store.write(name, bytes, { replace: false });
    } catch (error) {
      if (!(error instanceof LogitcaskError) || error.code !== 'store-exists') throw error;
    }
    const owner = await readOwner(store, name);
    if (owner === undefined) continue;
    if (owner.host !== mine.host || isHeld(owner)) throw running(name, owner);
    await store.remove(name);
  }
  throw running(name, undefined);
}

function isHeld({ pid, token }: Owner): boolean {
  return pid === process.pid ? held.has(token) : isAlive(pid);
}

async function readOwner(store: Store, name: string): Promise<Owner | undefined> {
  if ((await store.size(name)) === undefined) return undefined;
  return JSON.parse((await store.readAll(name)).toString());
}

function running(name: string, owner: Owner | undefined): LogitcaskError {
  const who = owner === undefined ? 'another process' : `process ${owner.pid} on ${owner.host}`;
  return new LogitcaskError(
    'build-running',
    `build: ${who} holds ${name}; wait for it, or remove that file if the process is gone`,
    { got: owner },
  );
}
