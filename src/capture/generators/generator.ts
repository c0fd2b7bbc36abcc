/** A teacher that answers: how a server is asked for responses. One server a file. */
import type { ListRows } from '../../distribution/rows.ts';
import type { ScoreRequest, ServerFacts } from '../servers/server.ts';

export interface ChatMessage {
  /** `system`, `user` or `assistant`. */
  readonly role: string;
  readonly content: string;
}

/** A conversation to go on with, or a text. */
export type Prompt = { readonly messages: readonly ChatMessage[] } | { readonly text: string };

export interface Sampling {
  /** 0 is greedy. */
  readonly temperature: number;
  readonly top_p: number;
  /** Most tokens of a response. */
  readonly max_tokens: number;
  readonly stop: readonly string[];
}

/** One response is asked for by one request, so that each can be kept and repeated by itself. */
export interface Question {
  readonly prompt: Prompt;
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
   * many as `tokens`.
   */
  readonly lists?: ListRows;
  readonly promptCount: number;
  readonly count: number;
}

/** Makes requests and reads replies; it does no I/O. */
export interface GeneratorProtocol {
  /** As in the configuration, e.g. `vllm`. */
  readonly name: string;
  /** What its start command must say for requests to be answered, for error messages. */
  readonly hint: string;
  /** Most entries of a list that the interface allows, where it does. */
  readonly kMax?: number;
  readonly facts: (get: (path: string) => Promise<unknown>) => Promise<ServerFacts>;
  request(model: string, question: Question): ScoreRequest;
  /** Throws `teacher-unsuitable` where the reply is not what was asked for. */
  parse(reply: Uint8Array, question: Question, context: AnswerContext): Answer;
}

export interface AnswerContext {
  /** V */
  readonly width: number;
  /**
   * The id of a token by its bytes, for servers that give none; undefined where no id or several
   * have them.
   */
  idOf(bytes: Uint8Array): number | undefined;
}

/** A server that answers prompts, ready to be asked. */
export interface Generator {
  readonly facts: ServerFacts;
  /** As `vllm`. */
  readonly source: string;
  /** V */
  readonly width: number;
  /** Prompts are counted and cut by the server; errors are those of `TeacherHttp`. */
  ask(question: Question): Promise<Answer>;
}
