/**
 * Which stored sequence begins with given tokens: a radix tree over sequences that keeps no tokens.
 * A node knows how deep it is and one sequence that passes it; what lies between two nodes is read
 * from that sequence, once a look-up. Two nodes a sequence at most.
 */

/** Tokens of a stored sequence. */
export type TokensOf = (sequence: number) => Promise<Int32Array>;

/** Token ids below 2^24, nodes below 2^29: an edge is one number. */
const tokenLimit = 2 ** 24;

export class PrefixIndex {
  readonly #tokensOf: TokensOf;
  readonly #depths: number[] = [0];
  readonly #sequences: number[] = [-1];
  /** Child by node and the token after it. */
  readonly #edges = new Map<number, number>();
  #writing: Promise<unknown> = Promise.resolve();

  constructor(tokensOf: TokensOf) {
    this.#tokensOf = tokensOf;
  }

  /** Nodes: about 100 bytes each. */
  get size(): number {
    return this.#depths.length;
  }

  /** A sequence that may begin with these tokens, and no other can; the caller compares them. */
  candidate(tokens: Int32Array): number | undefined {
    const node = this.#descend(tokens);
    return node === undefined ? undefined : this.#sequences[node];
  }

  /**
   * Adds a sequence, one after another. False, and nothing is added, where a stored one begins with
   * its tokens.
   */
  add(sequence: number, tokens: Int32Array): Promise<boolean> {
    const added = this.#writing.then(() => this.#add(sequence, tokens));
    this.#writing = added.catch(() => {});
    return added;
  }

  async #add(sequence: number, tokens: Int32Array): Promise<boolean> {
    const path = this.#path(tokens);
    const nearest = this.#sequences[path[path.length - 1]];
    const other = nearest < 0 ? new Int32Array(0) : await this.#tokensOf(nearest);
    const shared = sharedLength(tokens, other);
    if (nearest >= 0 && shared === tokens.length) return false;
    const below = path.findIndex((node) => this.#depths[node] >= shared);
    const leaf = this.#node(tokens.length, sequence);
    if (below < 0) {
      // the last node is the end of a sequence that this one goes on from, or the root
      this.#link(path[path.length - 1], tokens[this.#depths[path[path.length - 1]]], leaf);
    } else if (this.#depths[path[below]] === shared) {
      this.#link(path[below], tokens[shared], leaf);
    } else {
      const fork = this.#node(shared, this.#sequences[path[below]]);
      const parent = path[below - 1];
      this.#link(parent, other[this.#depths[parent]], fork);
      this.#link(fork, other[shared], path[below]);
      this.#link(fork, tokens[shared], leaf);
    }
    return true;
  }

  /** The node at or below the end of the tokens, by the tokens at forks alone. */
  #descend(tokens: Int32Array): number | undefined {
    let node = 0;
    while (this.#depths[node] < tokens.length) {
      const child = this.#edges.get(node * tokenLimit + tokens[this.#depths[node]]);
      if (child === undefined) return undefined;
      node = child;
    }
    return node === 0 && this.#sequences[0] < 0 ? undefined : node;
  }

  /** Nodes from the root on, as far as the tokens at forks agree. */
  #path(tokens: Int32Array): number[] {
    const path = [0];
    for (let node = 0; this.#depths[node] < tokens.length; path.push(node)) {
      const child = this.#edges.get(node * tokenLimit + tokens[this.#depths[node]]);
      if (child === undefined) break;
      node = child;
    }
    return path;
  }

  #node(depth: number, sequence: number): number {
    this.#sequences.push(sequence);
    return this.#depths.push(depth) - 1;
  }

  #link(node: number, token: number, child: number): void {
    this.#edges.set(node * tokenLimit + token, child);
  }
}

export function sharedLength(a: Int32Array, b: Int32Array): number {
  const end = Math.min(a.length, b.length);
  let i = 0;
  while (i < end && a[i] === b[i]) i++;
  return i;
}
