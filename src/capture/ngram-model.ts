/**
 * An interpolated absolute-discounting n-gram (orders 0–5, D = 0.8) over sorted windows of the
 * corpus: whole distributions that sum to 1, with no tables but the sorted positions.
 */

/** What decides the distributions beside the corpus: part of the teacher's revision. */
export const ngramParameters = { orderMax: 5, discount: 0.8 } as const;

const { orderMax, discount } = ngramParameters;
const window = orderMax + 1;

export interface NgramModel {
  /** Writes log p(· | context) to `out` (length V); only the last `orderMax` tokens matter. */
  score(context: Int32Array, out: Float32Array): void;
}

/** Next tokens after a context: distinct ids with counts, and their total. */
interface Continuation {
  readonly ids: Int32Array;
  readonly counts: Int32Array;
  readonly total: number;
}

export function buildNgram(tokens: Int32Array, vocabulary: number): NgramModel {
  const sorted = sortWindows(tokens, vocabulary);
  const unigram = unigramOf(tokens, vocabulary);
  const logUnigram = unigram.map(Math.log);
  // contexts of one token are few and long: kept once counted
  const afterOne = new Map<number, Continuation>();
  const touched = new Int32Array(vocabulary);
  const extra = new Float64Array(vocabulary);

  const continuation = (context: Int32Array, order: number): Continuation | undefined => {
    const start = context.length - order;
    const known = order === 1 ? afterOne.get(context[start]) : undefined;
    if (known !== undefined) return known;
    const [from, to] = rangeOf(tokens, sorted, context.subarray(start));
    if (from === to) return undefined;
    const found = countRange(tokens, sorted, { from, to, order });
    if (order === 1) afterOne.set(context[start], found);
    return found;
  };

  return {
    score(context, out) {
      let weight = 1; // of all lower orders together
      let distinct = 0;
      for (let order = Math.min(orderMax, context.length); order > 0; order--) {
        const after = continuation(context, order);
        if (after === undefined || after.total === 0) continue;
        for (let i = 0; i < after.ids.length; i++) {
          const id = after.ids[i];
          if (extra[id] === 0) touched[distinct++] = id;
          extra[id] += (weight * (after.counts[i] - discount)) / after.total;
        }
        weight *= (discount * after.ids.length) / after.total;
      }
      const logWeight = Math.log(weight);
      for (let id = 0; id < vocabulary; id++) out[id] = logWeight + logUnigram[id];
      for (let i = 0; i < distinct; i++) {
        const id = touched[i];
        out[id] = Math.log(extra[id] + weight * unigram[id]);
        extra[id] = 0;
      }
    },
  };
}

/** Order 0: discounted counts over a uniform distribution. */
function unigramOf(tokens: Int32Array, vocabulary: number): Float64Array {
  const counts = new Float64Array(vocabulary);
  for (let i = 0; i < tokens.length; i++) counts[tokens[i]]++;
  const seen = counts.reduce((n, count) => n + (count > 0 ? 1 : 0), 0);
  if (tokens.length === 0) return counts.fill(1 / vocabulary);
  const uniform = (discount * seen) / tokens.length / vocabulary;
  return counts.map((count) => Math.max(0, count - discount) / tokens.length + uniform);
}

/** Positions of the corpus, sorted by the six tokens from there on (radix, last token first). */
function sortWindows(tokens: Int32Array, vocabulary: number): Int32Array {
  const n = tokens.length;
  let order = Int32Array.from({ length: n }, (_, i) => i);
  let target = new Int32Array(n);
  for (let digit = window - 1; digit >= 0; digit--) {
    const starts = new Int32Array(vocabulary + 2); // key 0: beyond the end
    for (let i = 0; i < n; i++) starts[(i + digit < n ? tokens[i + digit] + 1 : 0) + 1]++;
    for (let key = 1; key < starts.length; key++) starts[key] += starts[key - 1];
    for (let i = 0; i < n; i++) {
      const at = order[i] + digit;
      target[starts[at < n ? tokens[at] + 1 : 0]++] = order[i];
    }
    [order, target] = [target, order];
  }
  return order;
}

/** Range of sorted positions whose tokens begin with `prefix`. */
function rangeOf(tokens: Int32Array, sorted: Int32Array, prefix: Int32Array): [number, number] {
  const bound = (after: boolean) => {
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const order = compare(tokens, sorted[middle], prefix);
      if (order < 0 || (after && order === 0)) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return [bound(false), bound(true)];
}

function compare(tokens: Int32Array, position: number, prefix: Int32Array): number {
  for (let i = 0; i < prefix.length; i++) {
    const token = position + i < tokens.length ? tokens[position + i] : -1;
    if (token !== prefix[i]) return token - prefix[i];
  }
  return 0;
}

/** Counts the tokens that follow; sorted positions make equal ones neighbours. */
function countRange(
  tokens: Int32Array,
  sorted: Int32Array,
  { from, to, order }: { from: number; to: number; order: number },
): Continuation {
  const ids: number[] = [];
  const counts: number[] = [];
  let total = 0;
  for (let i = from; i < to; i++) {
    const at = sorted[i] + order;
    if (at >= tokens.length) continue;
    if (ids.at(-1) !== tokens[at]) {
      ids.push(tokens[at]);
      counts.push(0);
    }
    counts[counts.length - 1]++;
    total++;
  }
  return { ids: Int32Array.from(ids), counts: Int32Array.from(counts), total };
}
