/**
 * Threads of a build: those that digest its input then reduce its rows, since one takes longer to
 * start than to do a small task.
 */
import { Piscina } from 'piscina';
import { threadFile } from '../built.ts';

export interface Threads {
  /** Most of them at once; they start as there is work. */
  readonly count: number;
  /** Whether there is one already. */
  readonly isStarted: boolean;
  /** Runs what src/build/thread.ts exports under this name; the task and its result are copied. */
  run(name: 'digestPiece' | 'reduceInThread', task: object): Promise<unknown>;
  close(): Promise<void>;
}

export function createThreads(count: number): Threads {
  let piscina: Piscina | undefined;
  return {
    count,
    get isStarted() {
      return piscina !== undefined;
    },
    run(name, task) {
      piscina ??= new Piscina({
        filename: threadFile('build'),
        minThreads: 1,
        maxThreads: count,
        idleTimeout: Number.POSITIVE_INFINITY,
      });
      return piscina.run(task, { name });
    },
    async close() {
      await piscina?.destroy();
      piscina = undefined;
    },
  };
}
