/** What a completion asks of a cache: the log-probs of prompts. */
import type { CompletionBody } from '../../../schemas/facade.ts';
import type { ServeConfig } from '../../../schemas/serve-config.ts';
import { sequenceKey } from '../../capture/scored.ts';
import type { TextTokenizer } from '../../capture/tokenizer.ts';
import { LogitcaskError } from '../../errors.ts';
import type { ObservedTeacher } from '../cached-teacher.ts';
import type { ServeContext } from '../context.ts';
import { invalidBody } from '../request-body.ts';

export interface Prompt {
  readonly tokens: Int32Array;
  /** Under which its text is kept. */
  readonly key: string;
}

export interface PromptRequest {
  readonly teacher: ObservedTeacher;
  readonly prompts: readonly Prompt[];
  /** Entries a position. */
  readonly k: number;
  readonly temperature: number;
  /** The reply repeats the prompt as text. */
  readonly echo: boolean;
  /** The reply repeats the prompt's ids. */
  readonly withIds: boolean;
  /** Of the reply, about. */
  readonly bytes: number;
}

const promptsMax = 4096;
const tokenIdMax = 0xffffff;
/** Of an entry as JSON, about: `"12345":{"logprob":…,"rank":12,"decoded_token":" word"},`. */
const entryBytes = 80;

/** Nothing is generated then: trainers ask for a token since vLLM wants one or more. */
export function asksForScores({ prompt_logprobs, max_tokens }: CompletionBody): boolean {
  return typeof prompt_logprobs === 'number' && (max_tokens ?? 0) <= 1;
}

/** The one that has the model; the first where none is named. Throws `request-invalid`. */
export function teacherFor(
  { teachers }: Pick<ServeContext, 'teachers'>,
  { model }: CompletionBody,
): ObservedTeacher {
  if (teachers.length === 0) {
    const message = 'request: this server has no teacher; start it with --teacher';
    throw new LogitcaskError('route-not-found', message);
  }
  if (typeof model !== 'string') return teachers[0];
  const teacher = teachers.find(({ served }) => served.model === model);
  if (teacher !== undefined) return teacher;
  const expected = teachers.map(({ served }) => served.model);
  throw invalidBody(`there is no model of the name ${model}`, expected, model);
}

/** Errors: `request-invalid`, `temperature-unsupported`. */
export function promptRequest(
  body: CompletionBody,
  teacher: ObservedTeacher,
  config: ServeConfig,
): PromptRequest {
  const sequences = promptsOf(body.prompt, teacher.served.tokenizer);
  const k = body.prompt_logprobs as number;
  if (k < 0 || k > teacher.k) {
    const what = `prompt_logprobs ${k}; the cache of ${teacher.name} has ${teacher.k} entries`;
    throw invalidBody(what, `0 … ${teacher.k}`, k);
  }
  if ((body.n ?? 1) !== 1) throw invalidBody('n with prompt_logprobs', 1, body.n);
  const positions = sequences.reduce((sum, { length }) => sum + length, 0);
  const bytes = positions * (k + 1) * entryBytes;
  const { batch_positions_max, reply_bytes_max } = config.limits;
  if (positions > batch_positions_max || bytes > reply_bytes_max) {
    const most = `at most ${batch_positions_max} positions, ${reply_bytes_max} bytes`;
    const got = `${positions} positions, about ${bytes} bytes`;
    throw invalidBody('the reply would be too large; ask for fewer prompts at a time', most, got);
  }
  const temperature = temperatureOf(body, config);
  const [echo, withIds] = [body.echo === true, body.return_token_ids === true];
  const prompts = sequences.map((tokens) => {
    const key = `${teacher.name} ${k} ${temperature} ${sequenceKey(tokens)}`;
    return { tokens, key };
  });
  return { teacher, prompts, k, temperature, echo, withIds, bytes };
}

/** 0 is greedy decoding, which changes no log-prob. */
function temperatureOf({ temperature }: CompletionBody, { cache }: ServeConfig): number {
  const asked = temperature || 1;
  if (asked === 1 || cache.approximate_temperatures) return asked;
  const message =
    `request: temperature ${asked}: the cache holds top lists at temperature 1, from which ` +
    'others are approximate; allow that with cache.approximate_temperatures';
  const details = { expected: 1, got: asked };
  throw new LogitcaskError('temperature-unsupported', message, details);
}

function promptsOf(prompt: unknown, tokenizer: TextTokenizer): Int32Array[] {
  const expected = 'a text, ids, or a list of them';
  if (typeof prompt === 'string') return [tokensOf(prompt, tokenizer)];
  if (!Array.isArray(prompt) || prompt.length === 0) {
    throw invalidBody('the prompt is neither text nor ids', expected, typeof prompt);
  }
  if (typeof prompt[0] === 'number') return [tokensOf(prompt, tokenizer)];
  if (prompt.length > promptsMax) throw invalidBody('too many prompts', promptsMax, prompt.length);
  return prompt.map((one) => tokensOf(one, tokenizer));
}

function tokensOf(prompt: unknown, tokenizer: TextTokenizer): Int32Array {
  if (typeof prompt !== 'string' && !Array.isArray(prompt)) {
    throw invalidBody('a prompt is neither text nor ids', 'a text or ids', typeof prompt);
  }
  const tokens = typeof prompt === 'string' ? tokenizer.encode(prompt, true) : idsOf(prompt);
  if (tokens.length > 0) return tokens;
  throw invalidBody('a prompt is empty', 'a token or more', 0);
}

function idsOf(given: readonly unknown[]): Int32Array {
  const ids = new Int32Array(given.length);
  for (let i = 0; i < ids.length; i++) {
    const id = given[i];
    if (typeof id === 'number') ids[i] = id;
    if (ids[i] === id && id >= 0 && id <= tokenIdMax) continue;
    const got = JSON.stringify(id).slice(0, 80); // what has no text of its own, as {"toString": 1}
    throw invalidBody('a prompt holds what is no token id', `0 … ${tokenIdMax}`, got);
  }
  return ids;
}
