/**
 * Lists as vLLM's `prompt_logprobs`, written by hand: the text of one sequence. Row i is of token
 * i, row 0 is null; entries are in rank order, the actual token last where it is not among them.
 */
import { logprobMin } from '../../capture/servers/rows-builder.ts';
import type { TextTokenizer } from '../../capture/tokenizer.ts';
import type { ScoreAnswer } from '../cached-teacher.ts';

/** A token as a JSON string of ASCII. */
export type TokenText = (id: number) => string;

/** Remembers what it has said: at most V short strings. */
export function tokenTexts(tokenizer: TextTokenizer): TokenText {
  const known: string[] = [];
  return (id) => {
    known[id] ??= asciiJson(tokenizer.decodeAll([id]));
    return known[id];
  };
}

export function asciiJson(text: string): string {
  const escaped = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(text).replace(/[^\x20-\x7e]/g, escaped);
}

export interface PromptLogprobs {
  readonly tokens: Int32Array;
  readonly rows: ScoreAnswer['rows'];
  /** Entries a row. */
  readonly k: number;
  readonly textOf: TokenText;
}

export function promptLogprobs({ tokens, rows, k, textOf }: PromptLogprobs): Buffer {
  const { offsets, ids, logprobs, labelLogprob } = rows;
  const entry = (id: number, logprob: number, rank: number) => {
    const value = Math.max(logprob, logprobMin);
    return `"${id}":{"logprob":${value},"rank":${rank},"decoded_token":${textOf(id)}}`;
  };
  const texts = ['[null'];
  for (let t = 0; t + 1 < tokens.length; t++) {
    const [from, to] = [offsets[t], offsets[t + 1]];
    const end = Math.min(to, from + k);
    const entries: string[] = [];
    for (let i = from; i < end; i++) entries.push(entry(ids[i], logprobs[i], i - from + 1));
    const actual = tokens[t + 1];
    let at = from;
    while (at < to && ids[at] !== actual) at++;
    // a rank beyond the list is not known: the first that it can be
    const logprob = at < to ? logprobs[at] : labelLogprob[t];
    if (at >= end && !Number.isNaN(logprob)) entries.push(entry(actual, logprob, at - from + 1));
    texts.push(`{${entries.join(',')}}`);
  }
  return Buffer.from(`${texts.join(',')}]`, 'latin1');
}
