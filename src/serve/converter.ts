/** Threads for what would hold up the event loop: samples that a layout decodes, tokenizers. */
import { availableParallelism } from 'node:os';
import { Piscina } from 'piscina';
import { type ThreadName, threadFile } from '../built.ts';
import type { TokenTexts } from '../capture/token-texts.ts';
import { errorOfData, LogitcaskError } from '../errors.ts';
import type { ConvertFailure, ConvertTask } from './convert.ts';
import type { ReadySample } from './layouts/layout.ts';
import type { PackResult } from './pack-texts.ts';

export interface Converter {
  /** Throws what making a sample ready throws; `sample` is the number of the one that failed. */
  run(task: ConvertTask): Promise<ReadySample[]>;
  /** Texts of the tokens of a tokenizer.json. Throws `source-unreadable`. */
  packTexts(tokenizerJson: Uint8Array): Promise<TokenTexts>;
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

const idleMs = 60_000;

/** Threads start with the first task, and end when they have had none for a while. */
export function createConverter(): Converter {
  let piscina: Piscina | undefined;
  const run = (file: ThreadName, name: string, task: unknown) => {
    piscina ??= new Piscina({
      minThreads: 0,
      maxThreads: Math.max(1, availableParallelism() - 1),
      idleTimeout: idleMs,
    });
    return piscina.run(task, { filename: threadFile(file), name });
  };
  return {
    async run(task) {
      const result: ReadySample[] | ConvertFailure = await run('convert', 'convertInThread', task);
      if (Array.isArray(result)) return result;
      throw new SampleError(result);
    },
    async packTexts(tokenizerJson) {
      const result: PackResult = await run('pack-texts', 'packTextsInThread', tokenizerJson);
      if ('texts' in result) return result.texts;
      throw errorOfData(result.error);
    },
    async close() {
      await piscina?.destroy();
    },
  };
}
