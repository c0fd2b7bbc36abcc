/**
 * SGLang: /generate, which takes texts and token ids and applies no template. Log-probs are those
 * after temperature unless the server was started with SGLANG_RETURN_ORIGINAL_LOGPROB=1.
 */

import { unsuitable } from '../servers/rows-builder.ts';
import { type FlatLists, flatLists, sglang as scoring } from '../servers/sglang.ts';
import { createAnswerRows } from './answer-rows.ts';
import type { GeneratorProtocol } from './generator.ts';

type Entry = [number | null, number, string | null];

interface Reply {
  text?: string;
  output_ids?: number[];
  meta_info?: Meta;
}

interface Meta {
  finish_reason?: { type?: string } | null;
  prompt_tokens?: number;
  completion_tokens?: number;
  output_token_logprobs?: Entry[];
  output_top_logprobs?: (Entry[] | null)[];
  output_top_logprobs_val_flat_b64?: string;
  output_top_logprobs_idx_flat_b64?: string;
  output_top_logprobs_shape?: [number, number];
}

export const sglang: GeneratorProtocol = {
  name: 'sglang',
  hint:
    'start SGLang with SGLANG_RETURN_ORIGINAL_LOGPROB=1 in its environment, without which ' +
    'log-probs are those after temperature',
  givesIds: true,
  takes: ['text', 'tokens'],
  facts: scoring.facts,
  request(_, { prompt, sampling, seed, k }) {
    const { temperature, top_p, max_tokens, stop } = sampling;
    const input =
      'tokens' in prompt
        ? { input_ids: [...prompt.tokens] }
        : { text: (prompt as { text: string }).text };
    const lists = {
      return_logprob: true,
      top_logprobs_num: k,
      return_text_in_logprobs: false,
      return_flat_raw_output_top_logprobs: true,
      return_flat_raw_output_top_logprobs_b64: true,
    };
    return {
      path: '/generate',
      body: {
        ...input,
        sampling_params: {
          temperature,
          top_p,
          top_k: -1,
          min_p: 0,
          repetition_penalty: 1,
          max_new_tokens: max_tokens,
          stop,
          sampling_seed: seed,
        },
        ...(k > 0 ? lists : {}),
      },
    };
  },
  parse(reply, { k }, { width }) {
    const text = Buffer.from(reply.buffer, reply.byteOffset, reply.byteLength).toString();
    const { text: said, output_ids: ids, meta_info: meta } = JSON.parse(text) as Reply;
    if (said === undefined || meta === undefined) {
      throw unsuitable('the whole', 'text and meta_info', 'none');
    }
    const answer = {
      text: said,
      finish: meta.finish_reason?.type ?? '',
      promptCount: meta.prompt_tokens ?? 0,
      count: meta.completion_tokens ?? ids?.length ?? 0,
    };
    if (k === 0) return { ...answer, tokens: ids && Int32Array.from(ids) };
    const drawn = meta.output_token_logprobs;
    if (drawn === undefined) throw unsuitable('the whole', 'output_token_logprobs', 'none');
    const lists = listsOf(meta);
    if (lists?.count !== drawn.length) {
      throw unsuitable('the lists', `those of ${drawn.length} tokens`, lists?.count ?? 'none');
    }
    const rows = createAnswerRows({ k, width });
    for (const [i, [logprob, id]] of drawn.entries()) {
      if (ids !== undefined && ids[i] !== id) throw unsuitable(`token ${i}`, ids[i], id);
      lists.row(i, rows.add);
      rows.next(id, logprob ?? Number.NaN);
    }
    if (ids !== undefined && ids.length !== drawn.length) {
      throw unsuitable('the lists', `those of ${ids.length} tokens`, drawn.length);
    }
    return { ...answer, ...rows.finish(), count: drawn.length };
  },
};

/** Row i of the lists goes to `add`. */
function listsOf(meta: Meta): FlatLists | undefined {
  const flat = flatLists({
    values: meta.output_top_logprobs_val_flat_b64,
    ids: meta.output_top_logprobs_idx_flat_b64,
    shape: meta.output_top_logprobs_shape,
    prefix: 0,
  });
  const { output_top_logprobs: nested } = meta;
  if (flat !== undefined || nested === undefined) return flat;
  return {
    count: nested.length,
    row(i, add) {
      for (const [value, id] of nested[i] ?? []) add(id, value ?? Number.NaN);
    },
  };
}
