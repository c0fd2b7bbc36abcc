/** An ONNX model in this process: whole distributions, one sample a thread at a time. */
import { basename } from 'node:path';
import type { OnnxSourceConfig } from '../../schemas/build-config.ts';
import { type DenseRows, valuesIn } from '../distribution/rows.ts';
import { LogitcaskError } from '../errors.ts';
import { digestOf } from '../formats/canonical.ts';
import { inOrder } from './in-order.ts';
import { digestOfFile, readInput } from './input-file.ts';
import { onnxFiles } from './onnx-files.ts';
import { openOnnxPool } from './onnx-pool.ts';
import type { OnnxFacts, OnnxTask } from './onnx-session.ts';
import { chunkBytesMax, type Lend, type SampleInput, type Source } from './source.ts';
import { samplesBehind, textSamples } from './text-samples.ts';
import { openTokenizer } from './tokenizer.ts';

/**
 * Seen with the small LM in int8: a later token changes log-probs by up to 0.37 through the common
 * range, and by 1 to 12 where it is seen.
 */
const dynamicAgreement = 0.5;
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

function openModel({ model, threads }: OnnxSourceConfig, bytes: number) {
  const options = { file: 'onnx-session', name: 'scoreInThread', threads, bytes } as const;
  const { window, run, close } = openOnnxPool<OnnxTask, OnnxFacts>(options);
  return {
    window,
    facts: () => run({ model, tokens: new Int32Array(2), memories: [], rowsMax: 1 }),
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
      await run({ model, tokens, memories, rowsMax });
      return parts;
    },
    close,
  };
}
