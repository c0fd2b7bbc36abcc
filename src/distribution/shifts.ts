/** The alignment test: log-prob of the token at t + 1 + shift under position t, at 3 shifts. */

export const shifts = [-1, 0, 1] as const;

/** Least mass outside a list: what is left of it may round to nothing, or to less. */
const outsideMin = 1e-9;

/** Log-prob of one token outside a list: `outside` is the mass of all `others` of them. */
export function outsideLogprob(outside: number, others: number): number {
  return Math.log(Math.max(outside, outsideMin) / Math.max(1, others));
}
