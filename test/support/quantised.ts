/** What comes back of targets on levels, by the formulas of docs/format.md, without our code. */
import type { Targets } from '../../src/distribution/targets.ts';
import type { Expected } from '../contracts/codec.ts';

/** docs/format.md, "Values": position by position, in the order written there. */
export function expectedAt(step: number): (targets: Targets) => Expected {
  return ({ count, offsets, ids, logprobs, rest }) => {
    const all = Array.from({ length: count }, (_, t) => {
      const own = Array.from({ length: offsets[t + 1] - offsets[t] }, (_, i) => offsets[t] + i);
      const rounded = own.map((i) => ({
        id: ids[i],
        logp: logprobs[i],
        level: Math.round(Math.exp(logprobs[i] / 2) / step),
      }));
      const kept = rounded.filter(({ level }) => level > 0).sort((a, b) => a.id - b.id);
      if (kept.length === 0) return { ids: [], probs: [], rest: 1 };
      const dropped = rounded.filter(({ level }) => level === 0);
      const mass = dropped.reduce((sum, { logp }) => sum + Math.exp(logp), rest[t]);
      const r = Math.max(1, Math.min(65_535, Math.round(-Math.log(mass) * 2048)));
      const left = Math.fround(Math.exp(-r / 2048));
      const squares = kept.reduce((sum, { level }) => sum + BigInt(level) ** 2n, 0n);
      const probs = kept.map(({ level }) => level * level * ((1 - left) / Number(squares)));
      return { ids: kept.map(({ id }) => id), probs, rest: left };
    });
    const ends = new Uint32Array(count + 1);
    all.forEach((position, t) => {
      ends[t + 1] = ends[t] + position.ids.length;
    });
    return {
      offsets: ends,
      ids: Uint32Array.from(all.flatMap((position) => position.ids)),
      probs: Float32Array.from(all.flatMap((position) => position.probs)),
      rest: Float32Array.from(all, (position) => position.rest),
    };
  };
}
