/** Top lists cut from the logits of a small dump, as a server would report them. */
import { createRowKernel } from '../../src/kernel/row.ts';
import type { Dump } from './dump.ts';
import { float32Npy, int32Npy } from './npz.ts';

export interface TopLists {
  readonly ids: Int32Array;
  readonly logprobs: Float32Array;
  readonly tail: Float32Array;
  readonly tokens: Int32Array;
  readonly vocabulary: number;
  readonly k: number;
}

export function listsOf({ logits, tokens, vocabulary }: Dump, k: number): TopLists {
  const count = tokens.length;
  const kernel = createRowKernel({ k, width: vocabulary, type: 'f32', temperatures: [] });
  const ids = new Int32Array(count * k);
  const logprobs = new Float32Array(count * k);
  const tail = new Float32Array(count);
  for (let t = 0; t < count; t++) {
    kernel.run(logits, t * vocabulary);
    ids.set(kernel.ids, t * k);
    logprobs.set(kernel.logprobs, t * k);
    tail[t] = 1 - kernel.logprobs.reduce((sum, logp) => sum + Math.exp(logp), 0);
  }
  return { ids, logprobs, tail, tokens, vocabulary, k };
}

/** Members of the `.npz` that holds them. */
export function npzMembers({ ids, logprobs, tail, tokens, vocabulary, k }: TopLists) {
  const count = tokens.length;
  return {
    ids: int32Npy([count, k], ids),
    logprobs: float32Npy([count, k], logprobs),
    tail: float32Npy([count], tail),
    tokens: int32Npy([count], tokens),
    V: int32Npy([], [vocabulary]),
  };
}
