/**
 * SGLang: /generate, which takes texts and token ids and applies no template. Log-probs are those
 * after temperature unless the server was started with SGLANG_RETURN_ORIGINAL_LOGPROB=1.
 */

import { unsuitable } from '../servers/rows-builder.ts';
import { sglang as scoring } from '../servers/sglang.ts';
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
    const lists = flatLists(meta) ?? meta.output_top_logprobs;
    if (lists?.length !== drawn.length) {
      throw unsuitable('the lists', `those of ${drawn.length} tokens`, lists?.length ?? 'none');
    }
    const rows = createAnswerRows({ k, width });
    for (const [i, [logprob, id]] of drawn.entries()) {
      if (ids !== undefined && ids[i] !== id) throw unsuitable(`token ${i}`, ids[i], id);
      for (const [value, entry] of lists[i] ?? []) rows.add(entry, value ?? Number.NaN);
      rows.next(id, logprob ?? Number.NaN);
    }
    if (ids !== undefined && ids.length !== drawn.length) {
      throw unsuitable('the lists', `those of ${ids.length} tokens`, drawn.length);
    }
    return { ...answer, ...rows.finish(), count: drawn.length };
  },
};

/** Entry j of list i at i · k + j of two flat arrays, where the server knows that form. */
function flatLists(meta: Meta): Entry[][] | undefined {
  const { output_top_logprobs_val_flat_b64: values, output_top_logprobs_idx_flat_b64: ids } = meta;
  const shape = meta.output_top_logprobs_shape;
  if (values === undefined || ids === undefined || shape === undefined) return undefined;
  const [rows, k] = shape;
  const [val, idx] = [Buffer.from(values, 'base64'), Buffer.from(ids, 'base64')];
  if (val.length !== 4 * rows * k || idx.length !== 4 * rows * k) {
    throw unsuitable('the flat arrays', `${4 * rows * k} bytes`, `${val.length}, ${idx.length}`);
  }
  return Array.from({ length: rows }, (_, i) =>
    Array.from({ length: k }, (_, j): Entry => {
      const at = 4 * (i * k + j);
      return [val.readFloatLE(at), idx.readInt32LE(at), null];
    }),
  );
}
