/** A teacher behind a server as a source: texts in, top lists out, in order and at its own pace. */
import { stat } from 'node:fs/promises';
import type { ServerSourceConfig } from '../../schemas/build-config.ts';
import type { ListRows } from '../distribution/rows.ts';
import { LogitcaskError } from '../errors.ts';
import { digestOf } from '../formats/canonical.ts';
import { inOrder, type Window } from './in-order.ts';
import { digestOfFile, readInput } from './input-file.ts';
import { openKeptScores } from './kept-scores.ts';
import { chunksOf } from './lists-sample.ts';
import { createReplyReader } from './reply-reader.ts';
import { fitsTogether, scoreTogether } from './score-together.ts';
import { decodeScored } from './scored.ts';
import { type Probed, probeServer } from './server-probe.ts';
import type { ScoreRequest, ServerFacts } from './servers/server.ts';
import { servers } from './servers/table.ts';
import type { SampleInput, Source, TeacherIdentity } from './source.ts';
import { openTeacher, type TeacherHttp } from './teacher-http.ts';
import { samplesBehind, textSamples } from './text-samples.ts';
import { openTokenizer, type TextTokenizer } from './tokenizer.ts';

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
  /** A record of `encodeScored`, of lists of `k` entries; the configuration's by default. */
  ask(tokens: Int32Array, k?: number): Promise<Uint8Array>;
  /** Its rows. */
  score(tokens: Int32Array, k?: number): Promise<ListRows>;
  /** Of each, in one request where that is possible: what is wrong with one fails no other. */
  scoreAll(sequences: readonly Int32Array[]): Promise<PromiseSettledResult<ListRows>[]>;
  /** Whether a request for these takes one more sequence. */
  fits(sequences: readonly Int32Array[], tokens: Int32Array): boolean;
  probe(tokens: Int32Array, k?: number): Promise<Probed>;
  close(): Promise<void>;
}

/** Errors: `teacher-unreachable`, `teacher-refused`, `teacher-unsuitable`, `source-mismatch`. */
export async function openScorer(config: ScorerConfig, tokenizer: TextTokenizer): Promise<Scorer> {
  const protocol = servers[config.type];
  const width = widthOf(config, tokenizer);
  const { http, window } = openTeacher(config);
  const facts = await protocol.facts(http.get);
  const model = config.model ?? facts.model;
  const post = ({ path, body }: ScoreRequest) => http.post(path, body);
  const reader = createReplyReader(await protocol.learn?.({ model, tokenizer, ask: post }));
  const ask = async (tokens: Int32Array, k = config.top_k): Promise<Uint8Array> => {
    const reply = await post(protocol.request(model, { tokens, k }, tokenizer));
    const [record] = await reader.read({
      server: config.type,
      reply,
      asked: [{ tokens, k, width }],
    });
    return record;
  };
  const score = async (tokens: Int32Array, k?: number) => decodeScored(await ask(tokens, k)).rows;
  const { several } = protocol;
  const all =
    several &&
    (async (sequences: readonly Int32Array[]) => {
      const k = config.top_k;
      const reply = await post(several.request(model, { sequences, k }));
      const asked = sequences.map((tokens) => ({ tokens, k, width }));
      const records = await reader.read({ server: config.type, reply, asked });
      return records.map((record) => decodeScored(record).rows);
    });
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
    ask,
    score,
    scoreAll: (sequences) => scoreTogether(sequences, { all, one: score }),
    fits: (sequences, tokens) =>
      several !== undefined && fitsTogether([...sequences, tokens], config.top_k),
    close: reader.close,
    probe: (tokens, k = config.top_k) =>
      probeServer({
        k,
        hint: protocol.hint,
        isPartial: protocol.isPartial ?? false,
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
  try {
    refuseLength(config, scorer.facts);
    await scorer.probe(await firstTokens(config, tokenizer));
  } catch (error) {
    await scorer.close();
    throw error;
  }
  const { top_k, sample_length, samples = null } = config;
  const inputs: string[] = [];
  for (const file of config.texts) inputs.push(await digestOfFile(file));
  const sizes = await Promise.all(config.texts.map(async (file) => (await stat(file)).size));
  const { facts, identity, window } = scorer;
  let kept = await openKeptScores();
  let share = 0;
  return {
    identity,
    inputs: {
      origin: `${inputs.length} files, scored by ${facts.version} (${facts.model}), top ${top_k}`,
      licence: config.licence,
      digest: digestOf({ inputs, sample_length, samples }),
    },
    tokenizerJson,
    share: () => share,
    async *chunks(from) {
      const meter = { file: 0, bytes: 0 };
      const options = { tokenizer, sampleLength: sample_length, samplesMax: config.samples, meter };
      const wanted = samplesBehind(textSamples(config.texts, options), from);
      const shareNow = ({ ordinal }: SampleInput) =>
        Math.max(readShare(sizes, meter), (ordinal + 1) / (config.samples ?? Infinity));
      const ask = async (tokens: Int32Array) => {
        const record = await scorer.ask(tokens);
        window.grow();
        return record;
      };
      const score = async (sample: SampleInput) => {
        const { tokens } = sample;
        const reached = shareNow(sample);
        const rows = await kept.rows(tokens, () => ask(tokens));
        return { sample: { ...sample, mask: told(sample.mask, rows), rows }, reached };
      };
      for await (const { sample, reached } of inOrder(wanted, score, window)) {
        share = reached;
        yield* chunksOf(sample, sample.ordinal);
      }
    },
    async keepIn(openLog) {
      kept = await openKeptScores(openLog);
    },
    close: scorer.close,
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

/** A position that the server tells nothing of is not learned. */
function told(mask: Uint8Array, { offsets }: ListRows): Uint8Array {
  return mask.map((isLearned, t) => (offsets[t + 1] > offsets[t] ? isLearned : 0));
}

function readShare(sizes: readonly number[], meter: { file: number; bytes: number }): number {
  const before = sizes.slice(0, meter.file).reduce((sum, size) => sum + size, 0);
  return (before + meter.bytes) / sizes.reduce((sum, size) => sum + size, 0);
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
