/** How often each token id comes: pages of counters, made where ids are seen. */

const pageIds = 4096;
const shift = 12;

/** Ids that came, ascending, and how often. Plain data. */
export interface TokenCounts {
  readonly ids: Uint32Array;
  readonly counts: Float64Array;
}

export interface TokenCounter {
  add(tokens: Int32Array): void;
  value(): TokenCounts;
}

export function createTokenCounter(): TokenCounter {
  const pages: (Uint32Array | undefined)[] = [];
  const pageOf = (id: number) => {
    const page = pages[id >>> shift] ?? new Uint32Array(pageIds);
    pages[id >>> shift] = page;
    return page;
  };
  return {
    add(tokens) {
      for (let t = 0; t < tokens.length; t++) {
        const id = tokens[t];
        const page = pages[id >>> shift] ?? pageOf(id);
        page[id & (pageIds - 1)]++;
      }
    },
    value() {
      const [ids, counts]: [number[], number[]] = [[], []];
      for (const [number, page] of pages.entries()) {
        if (page === undefined) continue;
        for (let i = 0; i < pageIds; i++) {
          if (page[i] === 0) continue;
          ids.push(number * pageIds + i);
          counts.push(page[i]);
        }
      }
      return { ids: Uint32Array.from(ids), counts: Float64Array.from(counts) };
    },
  };
}

export function mergeTokenCounts(a: TokenCounts, b: TokenCounts): TokenCounts {
  const ids = new Uint32Array(a.ids.length + b.ids.length);
  const counts = new Float64Array(ids.length);
  let n = 0;
  for (let i = 0, j = 0; i < a.ids.length || j < b.ids.length; n++) {
    const left = i < a.ids.length ? a.ids[i] : Number.POSITIVE_INFINITY;
    const right = j < b.ids.length ? b.ids[j] : Number.POSITIVE_INFINITY;
    ids[n] = Math.min(left, right);
    if (left <= right) counts[n] += a.counts[i++];
    if (right <= left) counts[n] += b.counts[j++];
  }
  return { ids: ids.slice(0, n), counts: counts.slice(0, n) };
}

/** The ids that come most often, with their share of all. */
export function mostOf({ ids, counts }: TokenCounts, most: number) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  return Array.from(ids, (id, i) => ({ id, share: counts[i] / Math.max(1, total) }))
    .sort((a, b) => b.share - a.share || a.id - b.id)
    .slice(0, most);
}
