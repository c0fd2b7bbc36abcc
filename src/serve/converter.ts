/** Threads that make samples ready where a layout decodes them: the event loop goes on serving. */
import { availableParallelism } from 'node:os';
import { Piscina } from 'piscina';
import { LogitcaskError } from '../errors.ts';
import type { ConvertFailure, ConvertTask } from './convert.ts';
import type { ReadySample } from './layouts/layout.ts';

export interface Converter {
  /** Throws what making a sample ready throws; `sample` is the number of the one that failed. */
  run(task: ConvertTask): Promise<ReadySample[]>;
  close(): Promise<void>;
}

/** An error of one of a task's samples. */
export class SampleError extends LogitcaskError {
  readonly sample: number;

  constructor({ sample, code, message, expected, got }: ConvertFailure) {
    super(code, message, { expected, got });
    this.sample = sample;
  }
}

/** Threads run compiled code, also where this file is run as it is written. */
const compiled = import.meta.url.endsWith('.ts') ? '../../dist/src/serve/' : './';
const idleMs = 60_000;

/** Threads start with the first task, and end when they have had none for a while. */
export function createConverter(): Converter {
  let piscina: Piscina | undefined;
  return {
    async run(task) {
      piscina ??= new Piscina({
        filename: new URL(`${compiled}convert.js`, import.meta.url).href,
        name: 'convertInThread',
        minThreads: 0,
        maxThreads: Math.max(1, availableParallelism() - 1),
        idleTimeout: idleMs,
      });
      const result: ReadySample[] | ConvertFailure = await piscina.run(task);
      if (Array.isArray(result)) return result;
      throw new SampleError(result);
    },
    async close() {
      await piscina?.destroy();
    },
  };
}
