/** Answers to prompts as they were recorded, cut to the tokens and entries that are asked for. */
import { type Answer, recorded } from './replay-teacher.ts';

interface ChatToken {
  readonly token: string;
  readonly logprob: number;
  readonly bytes: number[];
  readonly top_logprobs: Omit<ChatToken, 'top_logprobs'>[];
}

interface Choice {
  readonly message?: { readonly content: string };
  readonly text?: string;
  readonly token_ids: number[];
  readonly finish_reason: string;
  readonly logprobs: {
    readonly content: ChatToken[];
    readonly tokens: string[];
    readonly token_logprobs: number[];
    readonly top_logprobs: Record<string, number>[];
    readonly text_offset: number[];
  };
  readonly prompt_token_ids: number[];
}

export interface Completion {
  readonly choices: [Choice];
  readonly prompt_token_ids: number[];
  readonly usage: { readonly prompt_tokens: number };
}

export const chat = recorded('vllm-chat').response as unknown as Completion;
export const completion = recorded('vllm-completions-generate').response as unknown as Completion;

type Body = { readonly [key: string]: unknown };

/** vLLM's chat and completions: the recorded answer, whatever the prompt. */
export const vllmGenerates: Answer = (body: Body, path) =>
  path === '/v1/chat/completions' ? vllmChat(body) : vllmCompletion(body);

function vllmChat({ max_tokens, top_logprobs, return_token_ids }: Body): unknown {
  const [choice] = chat.choices;
  const n = max_tokens as number;
  const content = choice.logprobs.content.slice(0, n).map((token) => ({
    ...token,
    top_logprobs: token.top_logprobs.slice(0, top_logprobs as number),
  }));
  const own = {
    ...choice,
    logprobs: top_logprobs === undefined ? null : { content },
    token_ids: return_token_ids ? choice.token_ids.slice(0, n) : null,
  };
  const prompt_token_ids = return_token_ids ? chat.prompt_token_ids : null;
  return { ...chat, choices: [own], prompt_token_ids };
}

function vllmCompletion({ max_tokens, logprobs, return_token_ids }: Body): unknown {
  const [choice] = completion.choices;
  const n = max_tokens as number;
  const { tokens, token_logprobs, top_logprobs } = choice.logprobs;
  const lists = top_logprobs.slice(0, n).map((list, i) => {
    const drawn = tokens[i];
    const top = Object.entries(list).sort(([, a], [, b]) => b - a);
    const kept = top.slice(0, logprobs as number).filter(([token]) => token !== drawn);
    return Object.fromEntries([[drawn, list[drawn]], ...kept]);
  });
  const own = {
    ...choice,
    logprobs:
      logprobs === undefined
        ? null
        : {
            tokens: tokens.slice(0, n),
            token_logprobs: token_logprobs.slice(0, n),
            top_logprobs: lists,
          },
    token_ids: return_token_ids ? choice.token_ids.slice(0, n) : null,
    prompt_token_ids: return_token_ids ? choice.prompt_token_ids : null,
  };
  return { ...completion, choices: [own] };
}

/** The recorded completion in the shape of SGLang's /generate. */
export const sglangGenerates =
  (form: 'flat' | 'nested'): Answer =>
  ({ input_ids, sampling_params, top_logprobs_num: k, return_logprob }) => {
    const [{ text, token_ids, logprobs }] = completion.choices;
    const n = (sampling_params as { max_new_tokens: number }).max_new_tokens;
    const ids = token_ids.slice(0, n);
    const lists = logprobs.top_logprobs.slice(0, n).map((list) =>
      Object.entries(list)
        .map(([token, logprob]) => [logprob, Number(token.slice(9)), null] as const)
        .sort(([a], [b]) => b - a)
        .slice(0, k as number),
    );
    const base64 = (array: ArrayBufferView) =>
      Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString('base64');
    const flat = lists.flat();
    const meta = {
      output_token_logprobs: ids.map((id, i) => [logprobs.token_logprobs[i], id, null]),
      ...(form === 'nested'
        ? { output_top_logprobs: lists }
        : {
            output_top_logprobs_val_flat_b64: base64(Float32Array.from(flat, ([p]) => p)),
            output_top_logprobs_idx_flat_b64: base64(Int32Array.from(flat, ([, id]) => id)),
            output_top_logprobs_shape: [ids.length, k],
            output_top_logprobs_null_prefix: 0,
          }),
    };
    const { length: prompt_tokens } = input_ids as number[];
    const counts = { prompt_tokens, completion_tokens: ids.length };
    return {
      text,
      output_ids: ids,
      meta_info: { finish_reason: { type: 'length' }, ...counts, ...(return_logprob ? meta : {}) },
    };
  };

/** llama.cpp's server, as recorded: the prompt's ids, the answer, and one that a word ended. */
export const llama = recorded('llama-cpp-completion') as unknown as {
  apply_template: { prompt: string };
  tokenize: { tokens: number[] };
  response: LlamaCompletion;
};
export const llamaStopped = recorded('llama-cpp-stop-word').response as unknown as LlamaCompletion;

interface LlamaEntry {
  readonly id: number;
  readonly logprob: number;
}

interface LlamaCompletion {
  readonly content: string;
  readonly tokens: number[];
  readonly completion_probabilities: (LlamaEntry & { top_logprobs: LlamaEntry[] })[];
}

export const llamaGenerates: Answer = ({ n_predict, n_probs, stop }: Body, path) => {
  if (path === '/apply-template') return llama.apply_template;
  if (path === '/tokenize') return llama.tokenize;
  const { completion_probabilities: lists, ...rest } =
    (stop as string[]).length > 0 ? llamaStopped : llama.response;
  const n = n_predict as number;
  const tokens = rest.tokens.slice(0, n);
  if (n_probs === 0) return { ...rest, tokens };
  const kept = lists.slice(0, n).map((list) => ({
    ...list,
    top_logprobs: list.top_logprobs.slice(0, n_probs as number),
  }));
  return { ...rest, tokens, completion_probabilities: kept };
};

/** OpenAI's chat as llama.cpp speaks it: with the ids, by which the mapping is checked. */
export const openaiChat = recorded('llama-cpp-chat').response as unknown as OpenaiChat;

interface OpenaiToken {
  readonly id: number;
  readonly token: string;
  bytes: number[] | null;
  readonly logprob: number;
  top_logprobs: Omit<OpenaiToken, 'top_logprobs'>[];
}

export interface OpenaiChat {
  choices: [
    {
      message: { content: string };
      logprobs: { content: OpenaiToken[] } | null;
    },
  ];
  usage: { prompt_tokens: number };
}

export const openaiGenerates: Answer = ({ max_tokens, top_logprobs }: Body) => {
  const reply = structuredClone(openaiChat);
  const [choice] = reply.choices;
  if (top_logprobs === undefined) choice.logprobs = null;
  else {
    const content = choice.logprobs!.content.slice(0, max_tokens as number);
    for (const token of content) token.top_logprobs.splice(top_logprobs as number);
    choice.logprobs = { content };
    choice.message.content = Buffer.from(content.flatMap(({ bytes }) => bytes!)).toString();
  }
  return reply;
};
