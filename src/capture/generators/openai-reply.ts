/** Replies of OpenAI-like interfaces: the first choice, read without making objects of it. */
import type { ListRows } from '../../distribution/rows.ts';
import { JsonScanner } from '../../formats/json-scan.ts';
import { unsuitable } from '../servers/rows-builder.ts';
import type { Answer } from './generator.ts';

export interface ReplyParts {
  readonly text: string;
  readonly finish: string;
  readonly hasLogprobs: boolean;
  readonly promptTokens?: Int32Array;
  readonly tokens?: Int32Array;
  readonly lists?: ListRows;
  /** NaN where the server counts none. */
  readonly promptCount: number;
  readonly count: number;
}

/** `logprobs` reads the object of that name. */
export function readReply(reply: Uint8Array, logprobs: (scanner: JsonScanner) => void): ReplyParts {
  const scanner = new JsonScanner(reply);
  const usage = new Map<string, number>();
  let choice: Choice | undefined;
  let promptTokens: Int32Array | undefined;
  scanner.object((key) => {
    if (key === 'choices') {
      scanner.list((i) => {
        if (i === 0) choice = readChoice(scanner, logprobs);
        else scanner.skip();
      });
    } else if (key === 'prompt_token_ids') promptTokens = readIds(scanner);
    else if (key === 'usage' && !scanner.isNull()) {
      scanner.object((name) => {
        if (/^(prompt|completion)_tokens$/.test(name)) usage.set(name, scanner.number());
        else scanner.skip();
      });
    } else if (key !== 'usage') scanner.skip();
  });
  if (choice?.text === undefined) throw unsuitable('the whole', 'a choice with a text', 'none');
  return {
    text: choice.text,
    finish: choice.finish,
    hasLogprobs: choice.hasLogprobs,
    tokens: choice.tokens,
    promptTokens: promptTokens ?? choice.promptTokens,
    promptCount: usage.get('prompt_tokens') ?? Number.NaN,
    count: usage.get('completion_tokens') ?? Number.NaN,
  };
}

interface Choice {
  text: string | undefined;
  finish: string;
  hasLogprobs: boolean;
  tokens?: Int32Array;
  promptTokens?: Int32Array;
}

function readChoice(scanner: JsonScanner, logprobs: (scanner: JsonScanner) => void): Choice {
  const choice: Choice = { text: undefined, finish: '', hasLogprobs: false };
  scanner.object((key) => {
    if (key === 'text') choice.text = scanner.string();
    else if (key === 'message') choice.text = readMessage(scanner);
    else if (key === 'finish_reason' && !scanner.isNull()) choice.finish = scanner.string();
    else if (key === 'token_ids') choice.tokens = readIds(scanner);
    else if (key === 'prompt_token_ids') choice.promptTokens = readIds(scanner);
    else if (key === 'logprobs' && !scanner.isNull()) {
      choice.hasLogprobs = true;
      logprobs(scanner);
    } else if (key !== 'logprobs' && key !== 'finish_reason') scanner.skip();
  });
  return choice;
}

/** Null where the model said something else: a tool's call, or its reasoning alone. */
function readMessage(scanner: JsonScanner): string {
  let text = '';
  scanner.object((key) => {
    if (key === 'content' && !scanner.isNull()) text = scanner.string();
    else if (key !== 'content') scanner.skip();
  });
  return text;
}

export function readIds(scanner: JsonScanner): Int32Array | undefined {
  if (scanner.isNull()) return undefined;
  const ids: number[] = [];
  scanner.list(() => ids.push(scanner.number()));
  return Int32Array.from(ids);
}

export function toAnswer(parts: ReplyParts): Answer {
  const { text, finish, promptTokens, tokens, lists, promptCount, count } = parts;
  return {
    text,
    finish,
    promptTokens,
    tokens,
    lists,
    promptCount: promptTokens?.length ?? (Number.isNaN(promptCount) ? 0 : promptCount),
    count: tokens?.length ?? (Number.isNaN(count) ? 0 : count),
  };
}
