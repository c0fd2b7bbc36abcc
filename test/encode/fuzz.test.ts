/** Mutated frames: a right answer or `frame-damaged`, and the same one in both languages. */
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { DecodedTargets } from '../../src/distribution/targets.ts';
import { dequantise } from '../../src/encode/levels.ts';
import { decodeFrame, decodePlanes } from '../../src/encode/planes.ts';
import { LogitcaskError } from '../../src/errors.ts';
import { type Mutation, mutations } from '../support/frame-mutations.ts';

interface Outcome {
  /** What the refusal says, without its numbers. */
  readonly refusal: string | null;
  readonly targets?: DecodedTargets;
}

function outcomeOf({ frame, width }: Mutation): Outcome {
  try {
    return { refusal: null, targets: decodeFrame(frame, { width }) };
  } catch (error) {
    if (!(error instanceof LogitcaskError) || error.code !== 'frame-damaged') throw error;
    return { refusal: error.message.replace(/\(.*\)/, '').replace(/\d+/g, 'n') };
  }
}

/** What docs/format.md promises of any frame that is read. */
function expectSound({ kind, count, offsets, ids, probs, rest }: DecodedTargets, width: number) {
  expect([offsets.length, rest.length]).toEqual([count + 1, kind === 'scaled' ? count : 0]);
  expect([ids.length, probs.length]).toEqual([offsets[count], offsets[count]]);
  for (let t = 0; t < count; t++) {
    let sum = kind === 'scaled' ? rest[t] : 1;
    for (let i = offsets[t]; i < offsets[t + 1]; i++) {
      const ascends = ids[i] < width && (i === offsets[t] || ids[i] > ids[i - 1]);
      if (!ascends || !(probs[i] >= 0)) throw new Error(`entry ${i}: ${ids[i]}, ${probs[i]}`);
      if (kind === 'scaled') sum += probs[i];
    }
    expect(sum).toBeCloseTo(1, 4);
  }
}

/** CRC-32 over offsets (uint32), ids, probabilities and rest, little-endian. */
function digestOf({ offsets, ids, probs, rest }: DecodedTargets): number {
  const parts = [offsets, ids, probs, rest].map(({ buffer, byteOffset, byteLength }) =>
    Buffer.from(buffer, byteOffset, byteLength),
  );
  return crc32(Buffer.concat(parts));
}

describe('mutated frames', () => {
  it('give a sound answer or frame-damaged, from both ways to decode', () => {
    let accepted = 0;
    for (const mutation of mutations(4000, 1)) {
      const { targets } = outcomeOf(mutation);
      const integers = () => decodePlanes(mutation.frame, { width: mutation.width });
      if (targets === undefined) {
        expect(integers).toThrowError(expect.objectContaining({ code: 'frame-damaged' }));
        continue;
      }
      accepted++;
      expectSound(targets, mutation.width);
      const { header, levels } = integers();
      expect(targets).toEqual(dequantise(levels, header));
    }
    expect(accepted).toBeGreaterThan(200);
  });

  it('of the corpus, which the Python tests read too, end as recorded', async () => {
    const perOutcome = 2;
    const seen = new Map<string, number>();
    const corpus: string[] = [];
    for (const mutation of mutations(8000, 2)) {
      const { refusal, targets } = outcomeOf(mutation);
      const outcome = `${mutation.about}, ${mutation.frame[5]}, ${mutation.frame[6]}: ${refusal}`;
      const times = seen.get(outcome) ?? 0;
      seen.set(outcome, times + 1);
      if (times >= perOutcome) continue;
      const { about, frame, width } = mutation;
      const digest = targets === undefined ? null : digestOf(targets);
      corpus.push(JSON.stringify({ about, width, frame: frame.toString('base64'), digest }));
    }
    await expect(`${corpus.join('\n')}\n`).toMatchFileSnapshot('../golden/fuzz/frames.jsonl');
  });
});
