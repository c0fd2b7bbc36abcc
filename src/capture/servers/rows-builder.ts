/** Lists as servers send them, put in order and checked before they count. */
import type { ListRows } from '../../distribution/rows.ts';
import { LogitcaskError } from '../../errors.ts';
import { createListCheck, orderList } from '../top-list.ts';
import type { Asked } from './server.ts';

/** Servers write −∞ as −9999, or as the lowest float32. */
export const logprobMin = -9999;

/** Entries that make room for one at most; a list of another order is sorted whole. */
const movesMax = 64;

export interface RowsBuilder {
  /** An entry of the present position; of a log-prob that is −∞ nothing is kept. */
  add(id: number, logprob: number): void;
  /** Log-prob of the token that follows the present position. */
  label(logprob: number): void;
  /** Ends the present position. */
  next(): void;
  /** Ends the present position, of which the server tells nothing. */
  skip(): void;
  /** Lists of n positions; those behind the last `next` are empty. */
  finish(): ListRows;
}

export function createRowsBuilder({ tokens, k, width }: Asked): RowsBuilder {
  const n = tokens.length;
  const check = createListCheck(width);
  const offsets = new Uint32Array(n + 1);
  const ids = new Uint32Array(n * k);
  const logprobs = new Float32Array(n * k);
  const labels = new Float32Array(n).fill(Number.NaN);
  let t = 0;
  let at = 0;
  let isSorted = true;
  const inOrder = (i: number, id: number, value: number) =>
    logprobs[i] > value || (logprobs[i] === value && ids[i] < id);
  const wrong = (expected: string, got: unknown) => unsuitable(`position ${t}`, expected, got);
  return {
    add(id, logprob) {
      if (!(logprob > logprobMin)) {
        if (Number.isNaN(logprob)) throw wrong('log-probs that are numbers', logprob);
        return;
      }
      const from = offsets[t];
      if (at - from === k) throw wrong(`at most ${k} entries`, 'more');
      // servers send them in order, but for the actual token: few have to make room
      const value = Math.fround(logprob);
      let i = at++;
      while (i > from && i > at - movesMax && !inOrder(i - 1, id, value)) {
        ids[i] = ids[i - 1];
        logprobs[i] = logprobs[--i];
      }
      ids[i] = id;
      logprobs[i] = value;
      isSorted &&= i === from || inOrder(i - 1, id, value);
    },
    label(logprob) {
      labels[t] = logprob > logprobMin ? logprob : Number.NEGATIVE_INFINITY;
    },
    next() {
      if (t >= n - 1) throw wrong(`lists for ${n - 1} tokens`, 'more');
      const [from, to] = [offsets[t], at];
      if (to === from) throw wrong('a list', 'an empty one');
      const own = { ids: ids.subarray(from, to), logprobs: logprobs.subarray(from, to) };
      if (!isSorted) orderList(own.ids, own.logprobs);
      isSorted = true;
      check(own.ids, own.logprobs, { place: () => `position ${t} of a reply`, tail: undefined });
      offsets[++t] = at;
    },
    skip() {
      if (t >= n - 1) throw wrong(`lists for ${n - 1} tokens`, 'more');
      offsets[++t] = at;
    },
    finish() {
      if (t !== Math.max(0, n - 1)) throw unsuitable('the reply', `lists for ${n - 1} tokens`, t);
      offsets.fill(at, t + 1);
      return {
        form: 'lists',
        count: n,
        width,
        offsets,
        ids: ids.slice(0, at),
        logprobs: logprobs.slice(0, at),
        labelLogprob: labels,
      };
    },
  };
}

/** The server answers, but not with what a teacher must give. */
export function unsuitable(where: string, expected: unknown, got: unknown): LogitcaskError {
  const message = `capture: ${where} of the teacher's reply: expected ${expected}, got ${got}`;
  return new LogitcaskError('teacher-unsuitable', message, { expected, got: String(got) });
}
