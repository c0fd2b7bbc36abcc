/** A vLLM that answers any prompt: with a run of tokens of a recorded answer, by prompt and seed. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Tokenizer } from '@huggingface/tokenizers';
import { chat, completion } from './replay-generator.ts';
import type { Answer } from './replay-teacher.ts';

export const tokenizerFile = 'bench/data/small-lm/tokenizer.json';
const tokenizer = new Tokenizer(JSON.parse(readFileSync(tokenizerFile, 'utf8')), {});
const idsOf = (text: string) => tokenizer.encode(text, { add_special_tokens: false }).ids;

type Body = { readonly [key: string]: unknown };

/** Where in a recorded answer of `length` tokens the one to this question lies. */
function runOf({ prompt, messages, seed, max_tokens }: Body, length: number) {
  const question = JSON.stringify([prompt ?? messages, seed]);
  const hash = createHash('sha256').update(question).digest();
  const from = hash[0] % (length - 6);
  const wanted = 2 + (hash[1] % (length - from - 2));
  const most = max_tokens as number;
  const finish = wanted > most ? 'length' : 'stop';
  return { from, to: from + Math.min(wanted, most), finish };
}

export const vllmLabels: Answer = (body: Body, path) =>
  path === '/v1/chat/completions' ? chatReply(body) : textReply(body);

function chatReply(body: Body): unknown {
  const [choice] = chat.choices;
  const { from, to, finish } = runOf(body, choice.token_ids.length);
  const content = choice.logprobs.content.slice(from, to);
  const messages = body.messages as { content: string }[];
  const prompt = messages.flatMap(({ content }) => idsOf(content));
  const bytes = content.flatMap((token) => token.bytes);
  const top = content.map((token) => {
    return { ...token, top_logprobs: token.top_logprobs.slice(0, body.top_logprobs as number) };
  });
  return {
    ...chat,
    choices: [
      {
        ...choice,
        message: { role: 'assistant', content: Buffer.from(bytes).toString() },
        finish_reason: finish,
        logprobs: body.top_logprobs === undefined ? null : { content: top },
        token_ids: choice.token_ids.slice(from, to),
      },
    ],
    prompt_token_ids: prompt,
    usage: { prompt_tokens: prompt.length, completion_tokens: to - from },
  };
}

function textReply(body: Body): unknown {
  const [choice] = completion.choices;
  const { from, to, finish } = runOf(body, choice.token_ids.length);
  const prompt = Array.isArray(body.prompt) ? body.prompt : idsOf(body.prompt as string);
  const { tokens, token_logprobs, top_logprobs } = choice.logprobs;
  const lists = top_logprobs.slice(from, to).map((list, i) => {
    const drawn = tokens[from + i];
    const top = Object.entries(list).sort(([, a], [, b]) => b - a);
    const kept = top.slice(0, body.logprobs as number).filter(([token]) => token !== drawn);
    return Object.fromEntries([[drawn, list[drawn]], ...kept]);
  });
  const ids = choice.token_ids.slice(from, to);
  const part = <T>(values: readonly T[]) => values.slice(from, to);
  const logprobs = { tokens: part(tokens), token_logprobs: part(token_logprobs) };
  return {
    ...completion,
    choices: [
      {
        ...choice,
        text: tokenizer.decode(ids, { skip_special_tokens: true }),
        finish_reason: finish,
        logprobs: body.logprobs === undefined ? null : { ...logprobs, top_logprobs: lists },
        token_ids: ids,
        prompt_token_ids: prompt,
      },
    ],
    usage: { prompt_tokens: prompt.length, completion_tokens: ids.length },
  };
}
