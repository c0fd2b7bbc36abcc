/** Unbiased targets drawn again at a larger τ, from their weights instead of the distribution. */
import type { Targets } from '../distribution/targets.ts';
import { positionStream } from './random.ts';

/**
 * Keeps every weight w ≥ τ and each w < τ with probability w / τ, at weight τ, as `threshold` does
 * with p. The new weight has w as its expectation, and w has p: what comes out is still unbiased.
 * Keyed by the sample's id, apart from the draws that made the weights, which it must not follow.
 */
export function redraw(targets: Targets, tau: number, sampleId: Uint8Array): Targets {
  const { count, offsets, ids, logprobs } = targets;
  const logTau = Math.fround(Math.log(tau));
  const stream = positionStream(sampleId.map((byte) => ~byte));
  const out = {
    ...targets,
    offsets: new Uint32Array(count + 1),
    ids: ids.slice(),
    logprobs: logprobs.slice(),
  };
  let at = 0;
  for (let t = 0; t < count; t++) {
    stream.seek(t);
    // systematic: an entry is taken where the sum of w / τ passes the next whole number from here
    let sum = stream.next();
    for (let i = offsets[t]; i < offsets[t + 1]; i++) {
      let logprob = logprobs[i];
      if (logprob < logTau) {
        const before = Math.floor(sum);
        sum += Math.exp(logprob) / tau;
        if (Math.floor(sum) === before) continue;
        logprob = logTau;
      }
      out.ids[at] = ids[i];
      out.logprobs[at++] = logprob;
    }
    out.offsets[t + 1] = at;
  }
  return { ...out, ids: out.ids.slice(0, at), logprobs: out.logprobs.slice(0, at) };
}
