/** What every layout of list files comes down to: one sequence, its lists, and what is masked. */
import { LogitcaskError } from '../errors.ts';
import type { Nested } from '../formats/nested.ts';

export interface Draft {
  /** For errors. */
  readonly place: string;
  readonly meta: Readonly<Record<string, unknown>>;
  readonly tokens: Float64Array;
  /** A list for each token, or for each but the last. */
  readonly ids: Nested;
  readonly values: Nested;
  /** By list: is taken from its values, which then are log-probs. */
  readonly logNormaliser?: Float64Array;
  /** By list: mass outside of it. */
  readonly tail?: Float64Array;
  /** By list: 0 where it is not to be learned. */
  readonly mask?: Float64Array;
  /** By entry: 0 where there is none. */
  readonly entryMask?: Nested;
  /** By token: the token itself, negative where it is not to be learned. */
  readonly labels?: Float64Array;
  /** By token: number of its document, 0 for padding. */
  readonly documents?: Float64Array;
}

export const listsIn = ({ offsets }: Nested): number => offsets.length - 1;

/** The labels of a sequence do not stand where the layout has them, `further` tokens on. */
export function wrongLabel(
  place: string,
  at: { t: number; labels: Float64Array; tokens: Float64Array; further: 0 | 1 },
): LogitcaskError {
  const { t, labels, tokens, further } = at;
  const wanted = tokens[t + further];
  const other = tokens[t + 1 - further] === labels[t] ? `; they fit shift ${1 - further}` : '';
  const message =
    `capture: ${place}: the label at ${t} is ${labels[t]}, but token ${t + further} is ${wanted} ` +
    `(labels stand ${further} before their token here)${other}; shift the labels`;
  return new LogitcaskError('source-misaligned', message, { expected: wanted, got: labels[t] });
}
