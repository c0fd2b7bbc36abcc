/** An ONNX model in this process: whole distributions, one sample a thread at a time. */
import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import { Piscina } from 'piscina';
import type { OnnxSourceConfig } from '../../schemas/build-config.ts';
import { type DenseRows, valuesIn } from '../distribution/rows.ts';
import { type ErrorData, LogitcaskError } from '../errors.ts';
import { digestOf } from '../formats/canonical.ts';
import { createWindow, inOrder } from './in-order.ts';
import { digestOfFile, readInput } from './input-file.ts';
import { onnxFiles } from './onnx-files.ts';
import type { OnnxFacts, OnnxTask } from './onnx-session.ts';
import { chunkBytesMax, type Lend, type SampleInput, type Source } from './source.ts';
import { samplesBehind, textSamples } from './text-samples.ts';
import { openTokenizer } from './tokenizer.ts';

/** What sessions and their outputs may take together before there are fewer, with more threads. */
const sessionsBytesMax = 4 * 1024 * 1024 * 1024;
/**
 * Seen with the small LM in int8: a later token changes log-probs by up to 0.37 through the common
 * range, and by 1 to 12 where it is seen.
 */
const dynamicAgreement = 0.5;
/** Threads run compiled code, also where this file is run as it is written. */
const compiled = import.meta.url.endsWith('.ts') ? '../../dist/src/capture/' : './';
/** Chunks of samples ahead are in memory at once. */
const newMemory: Lend = (bytes) => new SharedArrayBuffer(bytes);

/**
 * Errors: `package-missing`, `source-unreadable`, `source-mismatch`, `teacher-unsuitable`; from the
 * chunks `teacher-refused` where the model fails on a sample, and those of `textSamples`.
 */
export async function openOnnxSource(config: OnnxSourceConfig): Promise<Source> {
  const tokenizerJson = await readInput(config.tokenizer);
  const tokenizer = openTokenizer(tokenizerJson, config.tokenizer);
  const { sample_length: sampleLength, samples = null } = config;
  const files = await onnxFiles(config.model);
  const outputBytes = 4 * sampleLength * tokenizer.size;
  const model = openModel(config, files.bytes + outputBytes);
  const inputs: string[] = [];
  try {
    const { width, type } = await model.facts();
    if (width < tokenizer.size) {
      const message = `capture: the tokenizer has ${tokenizer.size} ids, the model ${width}`;
      const details = { expected: width, got: tokenizer.size };
      throw new LogitcaskError('source-mismatch', message, details);
    }
    for (const file of config.texts) inputs.push(await digestOfFile(file));
    return {
      identity: {
        name: config.teacher ?? basename(config.model),
        revision: files.digest,
        source: 'onnx',
        vocabulary: width,
        tokenizer: tokenizer.digest,
        reports: 'whole',
      },
      inputs: {
        origin: `${inputs.length} files, scored by ${basename(config.model)}`,
        licence: config.licence,
        digest: digestOf({ inputs, sample_length: sampleLength, samples }),
      },
      tokenizerJson,
      async *chunks(from, lend = newMemory) {
        const options = { tokenizer, sampleLength, samplesMax: config.samples };
        const wanted = samplesBehind(textSamples(config.texts, options), from);
        const score = async (sample: SampleInput) => {
          return { sample, parts: await model.score(sample.tokens, { width, type, lend }) };
        };
        for await (const { sample, parts } of inOrder(wanted, score, model.window)) {
          let position = 0;
          for (const rows of parts) {
            yield { sample, position, rows };
            position += rows.count;
          }
        }
      },
      async score(tokens) {
        const [rows] = await model.score(tokens, { width, type, lend: newMemory, whole: true });
        return rows;
      },
      agreement: files.isDynamic ? dynamicAgreement : undefined,
      close: model.close,
    };
  } catch (error) {
    await model.close();
    throw error;
  }
}

interface ScoreOptions extends OnnxFacts {
  readonly lend: Lend;
  /** All rows in one part. */
  readonly whole?: boolean;
}

/** As many sessions as there are cores, each with one thread, where their memory allows that. */
function openModel({ model, threads = availableParallelism() }: OnnxSourceConfig, bytes: number) {
  const sessions = Math.max(1, Math.min(threads, Math.floor(sessionsBytesMax / bytes)));
  const pool = new Piscina({
    filename: new URL(`${compiled}onnx-session.js`, import.meta.url).href,
    name: 'scoreInThread',
    minThreads: 1,
    maxThreads: sessions,
    idleTimeout: Number.POSITIVE_INFINITY,
  });
  const run = async (work: Pick<OnnxTask, 'tokens' | 'memories' | 'rowsMax'>) => {
    const task: OnnxTask = { model, threads: Math.floor(threads / sessions), ...work };
    const result: OnnxFacts | ErrorData = await pool.run(task);
    if ('width' in result) return result;
    const { code, message, expected, got } = result;
    throw new LogitcaskError(code, message, { expected, got });
  };
  return {
    /** One more than can run, so that no session waits for its next sample. */
    window: createWindow(sessions + 1, sessions + 1),
    facts: () => run({ tokens: new Int32Array(2), memories: [], rowsMax: 1 }),
    async score(tokens: Int32Array, { width, type, lend, whole = false }: ScoreOptions) {
      const rowBytes = width * (type === 'f32' ? 4 : 2);
      const rowsMax = whole ? tokens.length : Math.max(1, Math.floor(chunkBytesMax / rowBytes));
      const parts: DenseRows[] = [];
      const memories: SharedArrayBuffer[] = [];
      for (let from = 0; from < tokens.length; from += rowsMax) {
        const count = Math.min(rowsMax, tokens.length - from);
        const memory = lend(count * rowBytes);
        const values = valuesIn(memory, type, count * width);
        memories.push(memory);
        parts.push({ form: 'dense', count, width, type, values });
      }
      await run({ tokens, memories, rowsMax });
      return parts;
    },
    close: async () => pool.destroy(),
  };
}
