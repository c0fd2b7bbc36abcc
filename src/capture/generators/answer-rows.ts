/** Lists at the tokens of a response, as servers send them, put in order and checked. */
import type { ListRows } from '../../distribution/rows.ts';
import { LogitcaskError } from '../../errors.ts';
import { logprobMin, unsuitable } from '../servers/rows-builder.ts';
import { createListCheck, orderList } from '../top-list.ts';

/** Two numbers for the same log-prob differ by no more: float32 against what is printed. */
const slack = 1e-3;

export interface AnswerRows {
  /** An entry of the present list, in the server's order; of −∞ nothing is kept. */
  add(id: number, logprob: number): void;
  /** Forgets the present list. */
  drop(): void;
  /** Ends the present list: the token that was drawn from it, and its log-prob. */
  next(token: number, logprob: number): void;
  /** One list a token. */
  finish(): { tokens: Int32Array; lists: ListRows };
}

export interface ListsAsked {
  /** Entries that the server was asked for. */
  readonly k: number;
  /** Most entries to keep, k by default. */
  readonly kept?: number;
  /** V */
  readonly width: number;
}

/**
 * Refuses lists that are not those of the tokens: of more entries than were asked for (one more is
 * the token drawn), or in which the token drawn has another log-prob, or would have a place.
 */
export function createAnswerRows({ k, kept: most = k, width }: ListsAsked): AnswerRows {
  const check = createListCheck(width);
  const ids = new Numbers(Uint32Array);
  const logprobs = new Numbers(Float32Array);
  const offsets = new Numbers(Uint32Array);
  const tokens = new Numbers(Int32Array);
  const labels = new Numbers(Float32Array);
  offsets.push(0);
  let from = 0;
  const wrong = (expected: string, got: unknown) =>
    unsuitable(`token ${tokens.length}`, expected, got);
  return {
    add(id, logprob) {
      if (Number.isNaN(logprob)) throw wrong('log-probs that are numbers', logprob);
      if (!(id >= 0 && id < none)) throw wrong('token ids', id);
      if (ids.length - from > k) throw wrong(`at most ${k} entries and the token`, 'more');
      ids.push(logprob > logprobMin ? id : none);
      logprobs.push(logprob);
    },
    drop() {
      ids.length = logprobs.length = from;
    },
    next(token, logprob) {
      if (!(token >= 0 && token < width)) throw outside(tokens.length, token, width);
      if (Number.isNaN(logprob)) throw wrong('a log-prob of the token', logprob);
      const list = { ids: ids.from(from), logprobs: logprobs.from(from) };
      const left = withoutDrawn(list, { token, logprob, k }, wrong);
      const own = { ids: list.ids.subarray(0, left), logprobs: list.logprobs.subarray(0, left) };
      orderList(own.ids, own.logprobs);
      const place = () => `the list at token ${tokens.length} of a response`;
      check(own.ids, own.logprobs, { place, tail: undefined });
      from += Math.min(left, most);
      ids.length = logprobs.length = from;
      offsets.push(from);
      tokens.push(token);
      labels.push(logprob > logprobMin ? logprob : Number.NEGATIVE_INFINITY);
    },
    finish() {
      const lists: ListRows = {
        form: 'lists',
        count: tokens.length,
        width,
        offsets: offsets.all(),
        ids: ids.all(),
        logprobs: logprobs.all(),
        labelLogprob: labels.all(),
      };
      return { tokens: tokens.all(), lists };
    },
  };
}

/** An entry of probability 0. */
const none = 0xffffffff;

interface Drawn {
  readonly token: number;
  readonly logprob: number;
  readonly k: number;
}

/**
 * Takes out what is no entry of the top list, and says how many are left: entries of probability 0,
 * and the token drawn where it stands before the list although all others exceed it. Then it came
 * along from beyond the list, and only the server knows whether right behind its end.
 */
function withoutDrawn(
  { ids, logprobs }: { ids: Uint32Array; logprobs: Float32Array },
  { token, logprob, k }: Drawn,
  wrong: (expected: string, got: unknown) => LogitcaskError,
): number {
  const at = ids.indexOf(token);
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < ids.length; i++) {
    if (i !== at && ids[i] !== none) least = Math.min(least, logprobs[i]);
  }
  if (at >= 0 && Math.abs(logprobs[at] - logprob) > slack) {
    throw wrong(`the log-prob ${logprob} of the token in its list as well`, logprobs[at]);
  }
  if (at < 0 && logprob > least + slack) {
    throw wrong(`a list that holds the token, with its log-prob of ${logprob}`, 'none');
  }
  const isLast = at >= 0 && logprobs[at] <= least && least < Number.POSITIVE_INFINITY;
  // one of the same probability as the last belongs there
  const isFirst = at === 0 && ids.length === k && logprobs[at] < least;
  const isBeyond = isLast && (ids.length > k || isFirst);
  if (ids.length > k && !isBeyond) throw wrong(`at most ${k} entries`, ids.length);
  let kept = 0;
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] === none || (i === at && isBeyond)) continue;
    ids[kept] = ids[i];
    logprobs[kept++] = logprobs[i];
  }
  if (kept === 0) throw wrong('a list', 'an empty one');
  return kept;
}

function outside(i: number, token: number, width: number): LogitcaskError {
  const message = `capture: token ${i} of a response is ${token}, outside V = ${width}`;
  return new LogitcaskError('token-out-of-range', message, { expected: width, got: token });
}

type NumberArray = Uint32Array | Int32Array | Float32Array;

/** A typed array that grows. */
class Numbers<A extends NumberArray> {
  length = 0;
  private array: A;

  constructor(make: new (length: number) => A) {
    this.array = new make(64);
  }

  push(value: number): void {
    if (this.length === this.array.length) {
      const larger = new (this.array.constructor as new (length: number) => A)(2 * this.length);
      larger.set(this.array as never);
      this.array = larger;
    }
    this.array[this.length++] = value;
  }

  from(start: number): A {
    return this.array.subarray(start, this.length) as A;
  }

  all(): A {
    return this.array.slice(0, this.length) as A;
  }
}
