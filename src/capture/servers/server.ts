/** A teacher behind a server: how it is asked for distributions. One server a file. */
import type { ListRows } from '../../distribution/rows.ts';
import type { TextTokenizer } from '../tokenizer.ts';

/** What a server says of itself. */
export interface ServerFacts {
  /** Name of the model as requests must give it. */
  readonly model: string;
  /** Most tokens of a request, where the server says so. */
  readonly contextMax?: number;
  /** What decides its numbers beside the model: version, fingerprint. */
  readonly version: string;
}

export interface ScoreRequest {
  readonly path: string;
  readonly body: unknown;
}

/** What the reply must answer. */
export interface Asked {
  /** Length n. */
  readonly tokens: Int32Array;
  readonly k: number;
  /** V */
  readonly width: number;
}

/** What a server had to be asked before its replies can be read; plain data. */
export interface Reading {
  /** Text of each token, by id. */
  readonly strings: readonly string[];
  /** 1 where entry i tells what comes after token i, 0 where it predicts token i. */
  readonly shift: 0 | 1;
}

/** How a server is asked for its reading. */
export interface LearnContext {
  readonly model: string;
  readonly tokenizer: TextTokenizer;
  ask(request: ScoreRequest): Promise<Uint8Array>;
}

/** How a server is asked for several sequences in one request. */
export interface SeveralProtocol {
  request(model: string, asked: { sequences: readonly Int32Array[]; k: number }): ScoreRequest;
  /** Lists of each, in the order of the request; as `parse`. */
  parse(reply: Uint8Array, asked: readonly Asked[]): ListRows[];
}

/** Makes requests and reads replies; it does no I/O, so that replies can be read in any thread. */
export interface ServerProtocol {
  /** As in the configuration, e.g. `vllm`. */
  readonly name: string;
  /** What its start command must say for requests to be answered, for error messages. */
  readonly hint: string;
  /** Paths asked at start, and what they tell. */
  readonly facts: (get: (path: string) => Promise<unknown>) => Promise<ServerFacts>;
  /** For servers whose replies must be told by example. Throws `source-misaligned`. */
  readonly learn?: (context: LearnContext) => Promise<Reading>;
  /** Lists leave out what they cannot tell, so that most may have fewer entries than asked for. */
  readonly isPartial?: boolean;
  request(
    model: string,
    asked: Pick<Asked, 'tokens' | 'k'>,
    tokenizer: TextTokenizer,
  ): ScoreRequest;
  /**
   * Lists of n positions, logits-aligned: the last one, which no reply holds, is empty. Throws
   * `teacher-unsuitable` where the reply is not what was asked for.
   */
  parse(reply: Uint8Array, asked: Asked, reading?: Reading): ListRows;
  /** Absent where the server takes one sequence a request. */
  readonly several?: SeveralProtocol;
}
