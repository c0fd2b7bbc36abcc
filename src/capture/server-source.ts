/** A teacher behind a server as a source: texts in, top lists out, in order and at its own pace. */
import type { ServerSourceConfig } from '../../schemas/build-config.ts';
import type { ListRows } from '../distribution/rows.ts';
import { LogitcaskError } from '../errors.ts';
import { digestOf } from '../formats/canonical.ts';
import { createWindow, inOrder, type Window } from './in-order.ts';
import { digestOfFile, readInput } from './input-file.ts';
import { chunksOf } from './lists-sample.ts';
import { type Probed, probeServer } from './server-probe.ts';
import type { ServerFacts } from './servers/server.ts';
import { servers } from './servers/table.ts';
import type { SampleInput, Source, TeacherIdentity } from './source.ts';
import { openTeacherHttp, type TeacherHttp } from './teacher-http.ts';
import { textSamples } from './text-samples.ts';
import { openTokenizer, type TextTokenizer } from './tokenizer.ts';

const attemptsMax = 8;

type ScorerConfig = Omit<ServerSourceConfig, 'texts'>;

/** A server that answers, and the requests that it is asked. */
export interface Scorer {
  readonly identity: TeacherIdentity;
  readonly facts: ServerFacts;
  /** Name of the model as requests give it. */
  readonly model: string;
  readonly pass: TeacherHttp['pass'];
  /** V */
  readonly width: number;
  readonly window: Window;
  /** Lists of `k` entries; the configuration's by default. */
  score(tokens: Int32Array, k?: number): Promise<ListRows>;
  probe(tokens: Int32Array, k?: number): Promise<Probed>;
}

/** Errors: `teacher-unreachable`, `teacher-refused`, `teacher-unsuitable`, `source-mismatch`. */
export async function openScorer(config: ScorerConfig, tokenizer: TextTokenizer): Promise<Scorer> {
  const protocol = servers[config.type];
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
  return {
    identity: {
      name: config.teacher ?? model,
      revision: digestOf({ model, version: facts.version, top_k: config.top_k }),
      source: config.type,
      vocabulary: width,
      tokenizer: tokenizer.digest,
      reports: 'top-list',
    },
    facts,
    model,
    pass: http.pass,
    width,
    window,
    score,
    probe: (tokens, k = config.top_k) =>
      probeServer({
        k,
        hint: protocol.hint,
        facts,
        sampleTokens: tokens,
        score: (asked) => score(asked, k),
      }),
  };
}

/**
 * Asks the server what it can do before anything is scored. Errors: those of `openScorer`,
 * `config-invalid`, `source-misaligned`; from the chunks those of `textSamples` as well.
 */
export async function openServerSource(config: ServerSourceConfig): Promise<Source> {
  const tokenizerJson = await readInput(config.tokenizer);
  const tokenizer = openTokenizer(tokenizerJson, config.tokenizer);
  const scorer = await openScorer(config, tokenizer);
  refuseLength(config, scorer.facts);
  await scorer.probe(await firstTokens(config, tokenizer));
  const { top_k, sample_length, samples = null } = config;
  const inputs: string[] = [];
  for (const file of config.texts) inputs.push(await digestOfFile(file));
  const { facts, identity, window } = scorer;
  return {
    identity,
    inputs: {
      origin: `${inputs.length} files, scored by ${facts.version} (${facts.model}), top ${top_k}`,
      licence: config.licence,
      digest: digestOf({ inputs, sample_length, samples }),
    },
    tokenizerJson,
    async *chunks(from) {
      const options = { tokenizer, sampleLength: sample_length, samplesMax: config.samples };
      const wanted = behind(textSamples(config.texts, options), from);
      const score = async (sample: SampleInput) => {
        const rows = await scorer.score(sample.tokens);
        window.grow();
        return { ...sample, rows };
      };
      for await (const sample of inOrder(wanted, score, window)) {
        yield* chunksOf(sample, sample.ordinal);
      }
    },
    async close() {},
  };
}

function refuseLength({ sample_length: length }: ServerSourceConfig, facts: ServerFacts): void {
  const { contextMax, model } = facts;
  if (contextMax === undefined || length < contextMax) return;
  const message =
    `config: samples of ${length} tokens do not fit the context of ${model}, where one is for ` +
    'the answer; set source.sample_length (--sample-length)';
  const expected = `at most ${contextMax - 1}`;
  throw new LogitcaskError('config-invalid', message, { expected, got: length });
}

async function* behind(samples: AsyncIterable<SampleInput>, from: number) {
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

export async function firstTokens(
  { texts, sample_length: sampleLength }: ServerSourceConfig,
  tokenizer: TextTokenizer,
): Promise<Int32Array> {
  for await (const { tokens } of textSamples(texts, { tokenizer, sampleLength, samplesMax: 1 })) {
    return tokens;
  }
  const message = 'capture: the texts hold no sample of two tokens or more';
  throw new LogitcaskError('source-mismatch', message, { expected: 'text', got: texts });
}

function widthOf({ vocabulary }: ScorerConfig, tokenizer: TextTokenizer): number {
  const width = vocabulary ?? tokenizer.size;
  if (tokenizer.size <= width) return width;
  const message = `capture: the tokenizer has ${tokenizer.size} ids, the vocabulary ${width}`;
  throw new LogitcaskError('source-mismatch', message, { expected: width, got: tokenizer.size });
}
