/**
 * Damaged files that servers refuse, in this run and in later ones: `quarantine.json` of a store.
 * All of a process share one of each store, and read and change it in turn. A change begins with
 * what is stored, so that what other processes wrote before is kept; of two that write at the same
 * time, the later one wins, and an audit finds again what the other one had found.
 */
import type { Store } from '../store/store.ts';

export interface Damage {
  readonly expected: unknown;
  readonly got: unknown;
}

export interface Quarantine {
  /** How many files are in it. */
  readonly files: number;
  /** Damage by name of file. */
  of(dataset: string): Readonly<Record<string, Damage>>;
  /** Durable when it resolves. */
  add(dataset: string, name: string, damage: Damage): Promise<void>;
  /** Takes out a file that is whole again. */
  remove(dataset: string, name: string): Promise<void>;
}

/** By data set, then by name. */
type Stored = Record<string, Record<string, Damage>>;

const path = 'quarantine.json';
const opened = new WeakMap<Store, Shared>();

interface Shared extends Quarantine {
  /** Takes in what is stored. */
  read(): Promise<void>;
}

export async function openQuarantine(store: Store): Promise<Quarantine> {
  const quarantine = opened.get(store) ?? createQuarantine(store);
  opened.set(store, quarantine);
  await quarantine.read();
  return quarantine;
}

function createQuarantine(store: Store): Shared {
  let stored: Stored = {};
  let last: Promise<void> = Promise.resolve();
  const inTurn = (action: () => Promise<void>) => {
    const done = last.then(action);
    last = done.catch(() => {}); // the next one may find room again
    return done;
  };
  const change = (dataset: string, edit: (names: Record<string, Damage>) => void) =>
    inTurn(async () => {
      stored = await read(store);
      const names = { ...stored[dataset] };
      edit(names);
      stored[dataset] = names;
      await store.write(path, Buffer.from(JSON.stringify(stored)));
    });
  return {
    read: () =>
      inTurn(async () => {
        stored = await read(store);
      }),
    get files() {
      return Object.values(stored).flatMap(Object.keys).length;
    },
    of: (dataset) => stored[dataset] ?? {},
    add: (dataset, name, { expected, got }) =>
      change(dataset, (names) => {
        names[name] = { expected, got };
      }),
    remove: (dataset, name) =>
      change(dataset, (names) => {
        delete names[name];
      }),
  };
}

async function read(store: Store): Promise<Stored> {
  if ((await store.size(path)) === undefined) return {};
  return JSON.parse((await store.readAll(path)).toString());
}
