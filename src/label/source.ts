/** Responses of one side as a source: tokens of prompt and response, and the response's lists. */
import type { Responses } from '../../schemas/manifest.ts';
import type { Answer } from '../capture/generators/generator.ts';
import { chunksOf, type ListSample } from '../capture/lists-sample.ts';
import { maskOf, type Source } from '../capture/source.ts';
import type { ListRows } from '../distribution/rows.ts';
import { LogitcaskError } from '../errors.ts';
import { digestOf } from '../formats/canonical.ts';
import { keptOf, type Labelling, type Response } from './responses.ts';
import type { Selection } from './select.ts';
import type { Side } from './split.ts';
import type { Teacher } from './teacher.ts';

export interface ResponsesOptions extends Labelling {
  readonly side: Side;
  readonly selection: Selection;
}

/**
 * Errors: `config-invalid` where V is not known; from the chunks `teacher-unsuitable` where token
 * ids are not, `token-out-of-range`.
 */
export function responsesSource(options: ResponsesOptions): Source {
  const { config, teacher, side, selection } = options;
  const { generator, tokenizer, tokenizerJson } = teacher;
  const { model } = generator.facts;
  const { width } = generator;
  if (width === 0) {
    const message =
      'config: the size of the vocabulary is not known; give source.tokenizer (--tokenizer) or ' +
      'source.vocabulary, or set snapshot to false for text alone';
    throw new LogitcaskError('config-invalid', message, { expected: 'source.vocabulary' });
  }
  const responses = describe(options);
  return {
    identity: {
      name: model,
      revision: teacher.digest,
      source: generator.source,
      vocabulary: width,
      tokenizer: tokenizer?.digest ?? null,
      reports: config.top_k > 0 ? 'top-list' : 'tokens',
    },
    inputs: {
      origin: `responses of ${model} to ${selection.counts.prompts} prompts`,
      licence: config.licence,
      digest: digestOf({ responses, records: selection.sides[side].digest }),
    },
    tokenizerJson,
    responses,
    async *chunks(from) {
      let ordinal = 0;
      for await (const response of keptOf(options, side)) {
        if (ordinal >= from) yield* chunksOf(sampleOf(response, teacher), ordinal);
        ordinal++;
      }
    },
    async close() {},
  };
}

function describe({ config, teacher, side, selection }: ResponsesOptions): Responses {
  const { generator } = teacher;
  const { sampling, responses, top_k, mode, template = null, system = null } = config;
  return {
    split: { name: side, validation: config.validation },
    model: generator.facts.model,
    server: generator.source,
    version: generator.facts.version,
    sampling: { ...sampling, responses, top_k },
    mode,
    template,
    system,
    prompts_digest: selection.prompts.digest,
    filter: config.filter,
    counts: selection.counts,
    usage: selection.usage,
    price: config.price ?? null,
  };
}

/** List i of the response belongs to the position before its token i. */
function sampleOf(response: Response, teacher: Teacher): ListSample {
  const { prompt, own } = idsOf(response, teacher);
  const n = prompt.length + own.length;
  const tokens = new Int32Array(n);
  tokens.set(prompt);
  tokens.set(own, prompt.length);
  const { width } = teacher.generator;
  const wrong = tokens.find((id) => !(id >= 0 && id < width));
  if (wrong !== undefined) {
    const message = `label: token ${wrong} is outside V = ${width}; correct source.vocabulary`;
    throw new LogitcaskError('token-out-of-range', message, { expected: width, got: wrong });
  }
  const first = Math.max(0, prompt.length - 1);
  const mask = maskOf(n, first);
  const rows = rowsOf(response.answer.lists, { n, prompt: prompt.length, width });
  return { tokens, mask, rows, meta: metaOf(response) };
}

function rowsOf(
  lists: ListRows | undefined,
  { n, prompt, width }: { n: number; prompt: number; width: number },
): ListRows {
  const offsets = new Uint32Array(n + 1);
  const labelLogprob = new Float32Array(n).fill(Number.NaN);
  const none = { ids: new Uint32Array(0), logprobs: new Float32Array(0) };
  if (lists === undefined) return { form: 'lists', count: n, width, offsets, ...none };
  // of an empty prompt the first list has no position before it
  const skipped = prompt === 0 ? lists.offsets[1] : 0;
  for (let t = 0; t < n; t++) {
    const list = t + 1 - prompt;
    const isThere = list >= 0 && list < lists.count;
    offsets[t + 1] = isThere ? lists.offsets[list + 1] - skipped : offsets[t];
    if (isThere) labelLogprob[t] = lists.labelLogprob?.[list] ?? Number.NaN;
  }
  const [ids, logprobs] = [lists.ids.subarray(skipped), lists.logprobs.subarray(skipped)];
  return { form: 'lists', count: n, width, offsets, ids, logprobs, labelLogprob };
}

function idsOf(
  { question: { prompt }, answer }: Response,
  { tokenizer }: Teacher,
): { prompt: Int32Array; own: Int32Array } {
  const { promptTokens, tokens } = answer;
  const given =
    promptTokens ?? ('text' in prompt ? tokenizer?.encode(prompt.text, true) : undefined);
  const own = tokens ?? tokenizer?.encode(answer.text);
  if (given !== undefined && own !== undefined) return { prompt: given, own };
  throw unknownIds(answer);
}

function unknownIds({ promptTokens }: Answer): LogitcaskError {
  const what = promptTokens === undefined ? 'prompts' : 'responses';
  const message =
    `label: the server does not tell the token ids of ${what}; give source.tokenizer and, for ` +
    'chats, source.chat_template, or set snapshot to false for text alone';
  return new LogitcaskError('teacher-unsuitable', message, { expected: 'token ids', got: 'none' });
}

function metaOf({ question, prompt, index, answer }: Response): Record<string, unknown> {
  const { prompt: asked, sampling, seed } = question;
  return {
    prompt: 'text' in asked ? asked.text : asked.messages,
    response: answer.text,
    finish: answer.finish,
    sampling: { ...sampling, seed },
    prompt_hash: prompt.digest.toString('hex'),
    index,
  };
}
