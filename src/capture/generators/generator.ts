/** A teacher that answers: how a server is asked for responses. One server a file. */
import type { ListRows } from '../../distribution/rows.ts';
import type { Window } from '../in-order.ts';
import type { ScoreRequest, ServerFacts } from '../servers/server.ts';
import type { IdOf } from '../token-bytes.ts';

export interface ChatMessage {
  /** `system`, `user` or `assistant`. */
  readonly role: string;
  readonly content: string;
}

/** A conversation to go on with, or a text. */
export type Prompt = { readonly messages: readonly ChatMessage[] } | { readonly text: string };

/** A prompt as it is sent: also as token ids. */
export type SentPrompt = Prompt | { readonly tokens: Int32Array };

export interface Sampling {
  /** 0 is greedy. */
  readonly temperature: number;
  readonly top_p: number;
  /** Most tokens of a response. */
  readonly max_tokens: number;
  readonly stop: readonly string[];
}

/** One response is asked for by one request, so that each can be kept and repeated by itself. */
export interface Question<P = Prompt> {
  readonly prompt: P;
  readonly sampling: Sampling;
  readonly seed: number;
  /** Entries of the list at each token of the response; 0: none. */
  readonly k: number;
}

/** What a server says, as far as it says it. */
export interface Answer {
  readonly text: string;
  /** `stop` where the teacher ended it, `length` where `max_tokens` did, or the server's word. */
  readonly finish: string;
  /** The prompt as the model read it, template applied, token ids. */
  readonly promptTokens?: Int32Array;
  /** The response, token ids, the end-of-text token included where the server gives it. */
  readonly tokens?: Int32Array;
  /**
   * List i is the distribution at temperature 1 that token i of the response was drawn from; as
   * many as `tokens`. Entries are the most probable ones: k, or one fewer where the server put the
   * token that was drawn in the place of the last. `labelLogprob` is that of the token drawn.
   */
  readonly lists?: ListRows;
  readonly promptCount: number;
  readonly count: number;
}

export interface GeneratorFacts extends ServerFacts {
  /** V, where the server says it. */
  readonly vocabulary?: number;
}

/** Makes requests and reads replies; it does no I/O. */
export interface GeneratorProtocol {
  /** As in the configuration, e.g. `vllm`. */
  readonly name: string;
  /** What to do where log-probs are missing, or are not those at temperature 1. */
  readonly hint: string;
  /** Most entries of a list that the interface allows, where it does. */
  readonly kMax?: number;
  /** False: tokens are told by their bytes, and only a tokenizer knows which they are. */
  readonly givesIds: boolean;
  /** What it takes a prompt as; conversations become token ids where it does not take them. */
  readonly takes: readonly ('messages' | 'text' | 'tokens')[];
  /** `model` is the one that the configuration names. */
  readonly facts: (
    get: (path: string) => Promise<unknown>,
    model: string | undefined,
  ) => Promise<GeneratorFacts>;
  /** Ids of a prompt, template applied, of servers that tell them by requests of their own. */
  readonly promptTokens?: (post: PostJson, prompt: Prompt) => Promise<Int32Array>;
  request(model: string, question: Question<SentPrompt>): ScoreRequest;
  /** Throws `teacher-unsuitable` where the reply is not what was asked for. */
  parse(reply: Uint8Array, question: Question<SentPrompt>, context: AnswerContext): Answer;
}

export type PostJson = (path: string, body: unknown) => Promise<unknown>;

export interface AnswerContext {
  /** V */
  readonly width: number;
  /** The id of a token by its bytes, for servers that give none. */
  readonly idOf: IdOf;
}

/** A server that answers prompts, ready to be asked. */
export interface Generator {
  readonly facts: ServerFacts;
  /** As `vllm`. */
  readonly source: string;
  /** V; 0 where neither configuration, server nor tokenizer tell it: then k must be 0. */
  readonly width: number;
  /** How many questions at a time the server takes, as found so far. */
  readonly window: Window;
  /** Prompts are counted and cut by the server; errors are those of `TeacherHttp`. */
  ask(question: Question): Promise<Answer>;
}
