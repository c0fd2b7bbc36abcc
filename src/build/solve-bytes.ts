/** Solves a parameter for a budget of bytes, on the first samples of the source. */
import type { Source } from '../capture/source.ts';
import { LogitcaskError } from '../errors.ts';
import { bytesOf } from '../formats/layout.ts';
import { firstTargets } from './first-targets.ts';
import type { Rules } from './rules.ts';

const positionsMax = 2048;
/** Each round tries so many values in one reading of the samples, then narrows to a gap. */
const rounds = 3;
const triesPerRound = 8;

/** Bytes of targets a position, for each of the rules, in one reading of the first samples. */
async function measureBytes(source: Source, all: readonly Rules[]): Promise<number[]> {
  const bytes = all.map(() => 0);
  const sparsifiers = all.map(({ sparsifier }) => sparsifier);
  let positions = 0;
  for await (const { targets } of firstTargets(source, { sparsifiers, positionsMax })) {
    all.forEach(({ codec }, i) => {
      for (const cell of codec.encode(targets[i])) bytes[i] += bytesOf(cell).byteLength;
    });
    positions += targets[0].count;
  }
  return bytes.map((sum) => sum / Math.max(1, positions));
}

/** The least value in [low, high], to three digits, whose targets take `bytesMax` or less. */
export async function solveBytes(
  source: Source,
  options: { at: (value: number) => Rules; low: number; high: number; bytesMax: number },
): Promise<number> {
  const { at, bytesMax } = options;
  let { low, high } = options;
  for (let round = 0; round < rounds; round++) {
    const ratio = (high / low) ** (1 / (triesPerRound - 1));
    const values = Array.from({ length: triesPerRound }, (_, i) => low * ratio ** i);
    values[values.length - 1] = high;
    const sizes = await measureBytes(source, values.map(at));
    const fits = sizes.findIndex((size) => size <= bytesMax);
    if (fits < 0) throw unreachable(sizes[sizes.length - 1], bytesMax);
    if (fits === 0) return values[0];
    [low, high] = [values[fits - 1], values[fits]];
  }
  return Number(high.toPrecision(3)) < high ? nextUp(high) : Number(high.toPrecision(3));
}

/** The next number of three digits above. */
function nextUp(value: number): number {
  const unit = 10 ** (Math.floor(Math.log10(value)) - 2);
  return Number(((Math.floor(value / unit) + 1) * unit).toPrecision(3));
}

function unreachable(least: number, bytesMax: number): LogitcaskError {
  const message = `config: no setting takes ${bytesMax} bytes a position; allow more`;
  return new LogitcaskError('config-invalid', message, {
    expected: `at least ${least.toFixed(1)}`,
    got: bytesMax,
  });
}
