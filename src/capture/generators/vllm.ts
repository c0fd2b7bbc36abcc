/**
 * vLLM: /v1/chat/completions for conversations, /v1/completions for texts and token ids. Log-probs
 * are those before temperature and top-p, vLLM's default `--logprobs-mode raw_logprobs`.
 */
import type { JsonScanner } from '../../formats/json-scan.ts';
import { unsuitable } from '../servers/rows-builder.ts';
import { vllm as scoring } from '../servers/vllm.ts';
import { type AnswerRows, createAnswerRows } from './answer-rows.ts';
import type { AnswerContext, GeneratorProtocol, Question, SentPrompt } from './generator.ts';
import { type ReplyParts, readReply, toAnswer } from './openai-reply.ts';
import { idOfToken, readTokenLogprobs } from './token-logprobs.ts';

export const vllm: GeneratorProtocol = {
  name: 'vllm',
  hint:
    'start vLLM with --max-logprobs of at least k (-1 for no limit) and without --logprobs-mode, ' +
    'which must be raw_logprobs',
  givesIds: true,
  takes: ['messages', 'text', 'tokens'],
  facts: scoring.facts,
  request(model, { prompt, sampling, seed, k }) {
    const { temperature, top_p, max_tokens, stop } = sampling;
    // what the model's generation_config.json would add is switched off
    const own = { top_k: -1, min_p: 0, repetition_penalty: 1 };
    const ids = { return_token_ids: true, return_tokens_as_token_ids: k > 0 };
    const common = { model, temperature, top_p, max_tokens, stop, seed, ...own, ...ids };
    if ('messages' in prompt) {
      const lists = k > 0 ? { logprobs: true, top_logprobs: chatEntries(k) } : {};
      const body = { ...common, messages: prompt.messages, ...lists };
      return { path: '/v1/chat/completions', body };
    }
    const text = 'text' in prompt ? prompt.text : [...prompt.tokens];
    const lists = k > 0 ? { logprobs: k } : {};
    return { path: '/v1/completions', body: { ...common, prompt: text, ...lists } };
  },
  parse(reply, question, context) {
    const isChat = 'messages' in question.prompt;
    const rows = rowsFor(question, context, isChat);
    const parts = readReply(reply, (scanner) => {
      if (isChat) readChat(scanner, rows);
      else readCompletion(scanner, rows);
    });
    if (question.k === 0) return toAnswer(parts);
    if (!parts.hasLogprobs) throw unsuitable('the whole', 'logprobs', 'none');
    const { tokens, lists } = rows.finish();
    checkTokens(parts, tokens);
    return toAnswer({ ...parts, tokens, lists });
  },
};

/**
 * A chat's list is cut to this many after the drawn token was put first, so that of a list of one
 * nothing would be known.
 */
const chatEntries = (k: number) => Math.max(2, k);

function rowsFor({ k }: Question<SentPrompt>, { width }: AnswerContext, isChat: boolean) {
  return createAnswerRows({ k: isChat ? chatEntries(k) : k, kept: k, width });
}

function readChat(scanner: JsonScanner, rows: AnswerRows): void {
  scanner.object((key) => {
    if (key === 'content' && !scanner.isNull())
      readTokenLogprobs(scanner, { by: 'token_id' }, rows);
    else if (key !== 'content') scanner.skip();
  });
}

/** Lists of tokens, of their log-probs, and of objects from tokens to log-probs. */
function readCompletion(scanner: JsonScanner, rows: AnswerRows): void {
  const tokens: number[] = [];
  const logprobs: number[] = [];
  let lists: (readonly [number, number])[][] = [];
  scanner.object((key) => {
    if (key === 'tokens') scanner.list(() => tokens.push(idOfToken(scanner.string())));
    else if (key === 'token_logprobs') scanner.list(() => logprobs.push(scanner.number()));
    else if (key === 'top_logprobs') lists = readLists(scanner);
    else scanner.skip();
  });
  if (tokens.length !== logprobs.length || tokens.length !== lists.length) {
    const got = `${tokens.length}, ${logprobs.length} and ${lists.length}`;
    throw unsuitable('logprobs', 'as many tokens as log-probs and lists', got);
  }
  for (const [i, list] of lists.entries()) {
    for (const [id, logprob] of list) rows.add(id, logprob);
    rows.next(tokens[i], logprobs[i]);
  }
}

function readLists(scanner: JsonScanner): (readonly [number, number])[][] {
  const lists: (readonly [number, number])[][] = [];
  scanner.list(() => {
    const list: (readonly [number, number])[] = [];
    if (!scanner.isNull()) {
      scanner.object((token) => list.push([idOfToken(token), scanner.number()]));
    }
    lists.push(list);
  });
  return lists;
}

function checkTokens({ tokens: given }: ReplyParts, tokens: Int32Array): void {
  if (given === undefined) return;
  if (given.length !== tokens.length) {
    throw unsuitable('logprobs', `lists for the ${given.length} token_ids`, tokens.length);
  }
  const other = given.findIndex((id, i) => id !== tokens[i]);
  if (other >= 0) throw unsuitable(`token ${other}`, given[other], tokens[other]);
}
