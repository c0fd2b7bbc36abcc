/** The logs of a live cache: one takes new records, those before it wait to be sealed. */
import { LogitcaskError } from '../errors.ts';
import type { Log } from '../store/log.ts';
import type { Store } from '../store/store.ts';

export interface Segment {
  readonly number: number;
  readonly path: string;
  readonly log: Log;
}

/** A record found when the logs were opened, in order. */
export type Visit = (segment: number, offset: number, record: Buffer) => void;

const pathOf = (folder: string, number: number) =>
  `${folder}/${String(number).padStart(6, '0')}.log`;

export class Segments {
  readonly #store: Store;
  readonly #folder: string;
  readonly #open: Segment[];

  private constructor(store: Store, folder: string, open: Segment[]) {
    this.#store = store;
    this.#folder = folder;
    this.#open = open;
  }

  /** Opens the logs of a folder, and begins one where there is none. */
  static async open(store: Store, folder: string, visit: Visit): Promise<Segments> {
    const names = await store.list(folder);
    const numbers = names.flatMap((name) => /^([0-9]{6,})\.log$/.exec(name)?.[1] ?? []).map(Number);
    const segments = new Segments(store, folder, []);
    for (const number of numbers.length === 0 ? [0] : numbers) {
      await segments.#add(number, (record, offset) => visit(number, offset, record));
    }
    return segments;
  }

  async #add(number: number, visit: (record: Buffer, offset: number) => void): Promise<void> {
    const path = pathOf(this.#folder, number);
    this.#open.push({ number, path, log: await this.#store.openLog(path, visit) });
  }

  /** The one that takes new records. */
  get active(): Segment {
    return this.#open[this.#open.length - 1];
  }

  /** Those that take none any more, oldest first. */
  get closed(): readonly Segment[] {
    return this.#open.slice(0, -1);
  }

  get bytes(): number {
    return this.#open.reduce((total, { log }) => total + log.bytes, 0);
  }

  /** Records that damage has taken, and bytes that a crash tore off, when they were opened. */
  get losses(): { damaged: number; torn: number } {
    const sum = (pick: (log: Log) => number) =>
      this.#open.reduce((total, { log }) => total + pick(log), 0);
    return { damaged: sum(({ damaged }) => damaged), torn: sum(({ torn }) => torn) };
  }

  read(number: number, offset: number): Promise<Buffer> {
    const segment = this.#open.find((one) => one.number === number);
    if (segment !== undefined) return segment.log.read(offset);
    const message = `score: the log ${pathOf(this.#folder, number)} has gone`;
    return Promise.reject(new LogitcaskError('store-not-found', message));
  }

  /** Begins a new log; the one before is closed to records. */
  rotate(): Promise<void> {
    return this.#add(this.active.number + 1, () => {});
  }

  /** Forgets a closed log: everything in it is sealed. */
  async remove(segment: Segment): Promise<void> {
    this.#open.splice(this.#open.indexOf(segment), 1);
    await segment.log.close();
    await this.#store.remove(segment.path);
  }

  async close(): Promise<void> {
    for (const { log } of this.#open) await log.close();
  }
}
