/** A teacher behind a server as a source: texts in, top lists out, in order and at its own pace. */
import type { ServerSourceConfig } from '../../schemas/build-config.ts';
import type { ListRows } from '../distribution/rows.ts';
import { LogitcaskError } from '../errors.ts';
import { digestOf } from '../formats/canonical.ts';
import { createWindow, inOrder } from './in-order.ts';
import { digestOfFile, readInput } from './input-file.ts';
import { chunksOf } from './lists-sample.ts';
import { probeServer } from './server-probe.ts';
import { servers } from './servers/table.ts';
import type { SampleInput, Source } from './source.ts';
import { openTeacherHttp } from './teacher-http.ts';
import { textSamples } from './text-samples.ts';
import { openTokenizer, type TextTokenizer } from './tokenizer.ts';

const attemptsMax = 8;

/**
 * Asks the server what it can do before anything is scored. Errors: `teacher-unreachable`,
 * `teacher-refused`, `teacher-unsuitable`; from the chunks those of `textSamples` as well.
 */
export async function openServerSource(config: ServerSourceConfig): Promise<Source> {
  const protocol = servers[config.type];
  const tokenizerJson = await readInput(config.tokenizer);
  const tokenizer = openTokenizer(tokenizerJson, config.tokenizer);
  const width = widthOf(config, tokenizer);
  const window = createWindow(config.concurrency);
  const onRetry = (busy: boolean) => {
    if (busy) window.shrink();
  };
  const options = { url: config.url, token: config.api_key, timeoutMs: config.timeout_ms };
  const http = openTeacherHttp({ ...options, attemptsMax, onRetry });
  const facts = await protocol.facts(http.get);
  const model = config.model ?? facts.model;
  const score = async (tokens: Int32Array, k = config.top_k): Promise<ListRows> => {
    const { path, body } = protocol.request(model, { tokens, k });
    const reply = await http.post(path, body);
    return readReply(reply, (bytes) => protocol.parse(bytes, { tokens, k, width }));
  };
  await probeServer({
    k: config.top_k,
    sampleLength: config.sample_length,
    hint: protocol.hint,
    facts,
    score,
    sampleTokens: await firstTokens(config, tokenizer),
  });
  const texts = { tokenizer, sampleLength: config.sample_length, samplesMax: config.samples };
  const inputs: string[] = [];
  for (const file of config.texts) inputs.push(await digestOfFile(file));
  const { top_k: k, sample_length, samples = null } = config;
  const revision = digestOf({ model, version: facts.version, k });
  return {
    identity: {
      name: config.teacher ?? model,
      revision,
      source: config.type,
      vocabulary: width,
      tokenizer: tokenizer.digest,
      reports: 'top-list',
    },
    inputs: {
      origin: `${inputs.length} files, scored by ${facts.version} (${model}), top ${k}`,
      licence: config.licence,
      digest: digestOf({ inputs, sample_length, samples }),
    },
    tokenizerJson,
    async *chunks(from) {
      const wanted = skip(textSamples(config.texts, texts), from);
      const scored = inOrder(
        wanted,
        async (sample) => {
          const rows = await score(sample.tokens);
          window.grow();
          return { ...sample, rows };
        },
        window,
      );
      for await (const sample of scored) yield* chunksOf(sample, sample.ordinal);
    },
    async close() {},
  };
}

async function* skip(samples: AsyncIterable<SampleInput>, from: number) {
  for await (const sample of samples) if (sample.ordinal >= from) yield sample;
}

function readReply<T>(bytes: Uint8Array, parse: (bytes: Uint8Array) => T): T {
  try {
    return parse(bytes);
  } catch (cause) {
    if (cause instanceof LogitcaskError) throw cause;
    const message = `capture: the teacher's reply cannot be read (${(cause as Error).message})`;
    throw new LogitcaskError('teacher-unsuitable', message, { cause });
  }
}

async function firstTokens(
  { texts, sample_length: sampleLength }: ServerSourceConfig,
  tokenizer: TextTokenizer,
): Promise<Int32Array> {
  for await (const { tokens } of textSamples(texts, { tokenizer, sampleLength, samplesMax: 1 })) {
    return tokens;
  }
  const message = 'capture: the texts hold no sample of two tokens or more';
  throw new LogitcaskError('source-mismatch', message, { expected: 'text', got: texts });
}

function widthOf({ vocabulary }: ServerSourceConfig, tokenizer: TextTokenizer): number {
  const width = vocabulary ?? tokenizer.size;
  if (tokenizer.size <= width) return width;
  const message = `capture: the tokenizer has ${tokenizer.size} ids, the vocabulary ${width}`;
  throw new LogitcaskError('source-mismatch', message, { expected: width, got: tokenizer.size });
}
