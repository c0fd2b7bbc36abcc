/**
 * llama.cpp's own server: /apply-template and /tokenize give the ids of a prompt, /completion is
 * asked with them. Log-probs are those before sampling; −∞ is the lowest float32.
 */
import { JsonScanner } from '../../formats/json-scan.ts';
import { unsuitable } from '../servers/rows-builder.ts';
import { createAnswerRows } from './answer-rows.ts';
import type { GeneratorProtocol, PostJson } from './generator.ts';
import { readIds } from './openai-reply.ts';
import { readTokenLogprobs } from './token-logprobs.ts';

interface Props {
  build_info?: string;
  default_generation_settings?: { n_ctx?: number };
}

interface Models {
  data?: { id?: string; meta?: { n_vocab?: number } | null }[];
}

export const llamaCpp: GeneratorProtocol = {
  name: 'llama-cpp',
  hint: 'use llama-server of llama.cpp, which gives ids and log-probs in /completion (n_probs)',
  givesIds: true,
  takes: ['tokens'],
  async facts(get) {
    const props = (await get('/props')) as Props;
    const { data } = (await get('/v1/models')) as Models;
    const model = data?.[0];
    if (model?.id === undefined) throw unsuitable('/v1/models', 'a model', JSON.stringify(data));
    return {
      model: model.id,
      vocabulary: model.meta?.n_vocab,
      contextMax: props.default_generation_settings?.n_ctx,
      version: `llama.cpp ${props.build_info ?? 'unknown'}`,
    };
  },
  async promptTokens(post, prompt) {
    const content = 'messages' in prompt ? await templated(post, prompt.messages) : prompt.text;
    const body = { content, add_special: true, parse_special: true };
    const { tokens } = (await post('/tokenize', body)) as { tokens?: unknown };
    if (!Array.isArray(tokens)) throw unsuitable('/tokenize', 'tokens', JSON.stringify(tokens));
    return Int32Array.from(tokens as number[]);
  },
  request(model, { prompt, sampling, seed, k }) {
    const { temperature, top_p, max_tokens, stop } = sampling;
    return {
      path: '/completion',
      body: {
        model,
        prompt: [...(prompt as { tokens: Int32Array }).tokens],
        temperature,
        top_p,
        // no other steps, which the server has by default
        samplers: ['temperature', 'top_p'],
        n_predict: max_tokens,
        stop,
        seed,
        n_probs: k,
        return_tokens: true,
        cache_prompt: true,
      },
    };
  },
  parse(reply, { k }, { width }) {
    const scanner = new JsonScanner(reply);
    const rows = createAnswerRows({ k, width });
    let [text, stop, hasLists, promptCount]: [string?, string?, boolean?, number?] = [];
    let tokens: Int32Array | undefined;
    scanner.object((key) => {
      if (key === 'content') text = scanner.string();
      else if (key === 'stop_type') stop = scanner.string();
      else if (key === 'tokens_evaluated') promptCount = scanner.number();
      else if (key === 'tokens') tokens = readIds(scanner);
      else if (key === 'completion_probabilities' && k > 0) {
        hasLists = true;
        readTokenLogprobs(scanner, { by: 'id' }, rows);
      } else scanner.skip();
    });
    if (text === undefined) throw unsuitable('the whole', 'content', 'none');
    if (tokens === undefined) throw unsuitable('the whole', 'tokens (return_tokens)', 'none');
    const finish = stop === 'limit' ? 'length' : stop === undefined ? '' : 'stop';
    const answer = { text, finish, promptCount: promptCount ?? 0 };
    if (k === 0) return { ...answer, tokens, count: tokens.length };
    // left out where it would be empty
    if (!hasLists && tokens.length > 0 && stop !== 'word') {
      throw unsuitable('the whole', 'completion_probabilities (n_probs)', 'none');
    }
    const read = rows.finish();
    checkTokens(tokens, read.tokens, stop === 'word');
    return { ...answer, ...read, count: read.tokens.length };
  },
};

async function templated(post: PostJson, messages: readonly object[]): Promise<string> {
  const { prompt } = (await post('/apply-template', { messages })) as { prompt?: unknown };
  if (typeof prompt === 'string') return prompt;
  throw unsuitable('/apply-template', 'prompt', JSON.stringify(prompt));
}

/** Lists are those of the tokens; behind a stop word, whose tokens have none, they end before. */
function checkTokens(tokens: Int32Array, listed: Int32Array, endsEarlier: boolean): void {
  const fits = endsEarlier ? listed.length <= tokens.length : listed.length === tokens.length;
  if (!fits) throw unsuitable('the lists', `those of ${tokens.length} tokens`, listed.length);
  const other = listed.findIndex((id, i) => id !== tokens[i]);
  if (other >= 0) throw unsuitable(`token ${other}`, tokens[other], listed[other]);
}
