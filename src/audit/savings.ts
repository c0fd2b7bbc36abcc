/** What other ways to store the same targets would take and lose, measured on a sample of them. */
import type { AuditSize, Saving } from '../../schemas/audit.ts';
import type { LabelSpace, TargetSet } from '../../schemas/manifest.ts';
import { rounded } from '../distribution/rounded.ts';
import type { Targets } from '../distribution/targets.ts';
import { type Compression, compressions } from '../encode/compression.ts';
import { type Levels, steps } from '../encode/levels.ts';
import { encodePlanes } from '../encode/planes.ts';
import { ranked } from '../encode/ranked.ts';
import { gridOf, levelsOf } from '../encode/stored-levels.ts';
import { labelSpaceIn, openCodec } from '../encode/table.ts';
import { lengthsOf } from '../formats/cells.ts';
import type { SnapshotReader } from '../shard/reader.ts';
import { redraw } from '../sparsify/redraw.ts';
import { type SparsifierOptions, sparsifiers } from '../sparsify/table.ts';
import { stopped } from './pass-shard.ts';
import { isDamage } from './problem.ts';
import {
  addToChoice,
  beginChoice,
  type ChoiceTally,
  choicesOf,
  cutLists,
  flagsOf,
  lossOf,
  scaledTried,
  stepsTried,
  unbiasedTried,
} from './storage-choices.ts';

/** Positions that a sample reaches, and the fewest samples that they are spread over. */
const positionsWanted = 4096;
const samplesMin = 4;

/** Ordinals spread evenly over a snapshot: few thousand positions, in whole samples. */
export function spreadOrdinals({ samples, positions }: { samples: number; positions: number }) {
  const wanted = Math.ceil((positionsWanted * samples) / Math.max(1, positions));
  const count = Math.min(samples, Math.max(samplesMin, wanted));
  return Array.from({ length: count }, (_, i) => Math.floor(((i + 0.5) * samples) / count));
}

/** One target set, and sums over the samples measured. */
interface SetTally {
  readonly set: TargetSet;
  readonly labelSpace: LabelSpace;
  /** Bytes of the cells as they are stored. */
  stored: number;
  readonly choices: readonly Tried[];
  /** The stored integers as frames; null for codec `raw`, which has none. */
  readonly same: Record<Compression, number> | null;
}

interface Tried extends ChoiceTally {
  readonly targetsOf: (exact: Targets, sampleId: Uint8Array) => Targets;
}

const compressionNames = Object.keys(compressions) as Compression[];

/**
 * `storedBytes`: bytes a position of each set's columns where the container compresses them, so
 * that cells do not tell. Samples that cannot be read are left out: integrity names them.
 */
export async function measureSavings(
  reader: SnapshotReader,
  { storedBytes, signal }: { storedBytes?: ReadonlyMap<string, number>; signal?: AbortSignal },
): Promise<AuditSize['savings']> {
  const { target_sets: sets, label_space: labelSpace, totals } = reader.manifest;
  // scores that do not sum to 1 have no rest to spread
  const tallies = sets
    .filter(({ normalisation }) => normalisation === 'softmax')
    .map((set) => beginSet(set, labelSpaceIn(set, labelSpace)));
  let sampled = 0;
  for (const ordinal of tallies.length === 0 ? [] : spreadOrdinals(totals)) {
    if (signal?.aborted) throw stopped();
    sampled += (await addSample(reader, ordinal, tallies)) ?? 0;
  }
  const rows =
    sampled === 0
      ? []
      : tallies.flatMap((tally) => {
          const now = storedBytes?.get(tally.set.name) ?? tally.stored / sampled;
          return savingsOf(tally, { sampled, now, positions: totals.positions });
        });
  return { sampled_positions: sampled, rows };
}

/** What is worth a try: nothing finer than what is stored, which is all that is left to cut. */
function beginSet(set: TargetSet, labelSpace: LabelSpace): SetTally {
  const { size: width } = labelSpace;
  const { kind, codec, sparsifier } = set;
  const own = codec.name === 'raw' ? { step: 0, tau: 0 } : gridOf(codec);
  const coarser = stepsTried.filter((step) => Math.fround(step) > own.step);
  const standing = Object.values(steps).find((step) => Math.fround(step) === own.step);
  const step = standing ?? rounded(own.step);
  const kept = codec.name === 'raw' ? coarser : [step, ...coarser];
  const same = codec.name === 'raw' ? null : { zstd: 0, lz4: 0 };
  const begin = (options: SparsifierOptions, tried: readonly number[], targetsOf: Cut): Tried => {
    const choice = beginChoice(options, tried);
    return { ...choice, targetsOf: (exact, id) => targetsOf(exact, { choice, id, width }) };
  };
  const known = sparsifier.name in sparsifiers;
  const stored = { type: sparsifier.name, ...sparsifier.parameters } as SparsifierOptions;
  const choices = known ? [begin(stored, coarser, (exact) => exact)] : [];
  if (kind === 'scaled') {
    const most = sparsifier.entries_max;
    for (const options of scaledTried) {
      if (options.type === 'top-k' && options.k >= most) continue;
      const cap = options.type === 'top-p' && { cap: Math.min(options.cap, most) };
      const tried = { ...options, ...cap };
      if (flagsOf({ sparsifier: tried, step }) === flagsOf({ sparsifier: stored, step })) continue;
      choices.push(begin(tried, kept, cut));
    }
    return { set, labelSpace, stored: 0, choices, same };
  }
  const tau = stored.type === 'threshold' ? stored.tau : own.tau;
  for (const options of unbiasedTried.filter((tried) => tried.tau > tau)) {
    const fitting = kept.filter((tried) => tried ** 2 <= options.tau);
    choices.push(begin(options, fitting, drawAnew));
  }
  return { set, labelSpace, stored: 0, choices, same };
}

type Cut = (
  exact: Targets,
  context: { choice: ChoiceTally; id: Uint8Array; width: number },
) => Targets;

const cut: Cut = (exact, { choice, width }) => cutLists(exact, choice, width);
const drawAnew: Cut = (exact, { choice, id }) => redraw(exact, choice.steps[0].grid.tau, id);

/** Positions of the sample; undefined where it cannot be read. */
async function addSample(
  reader: SnapshotReader,
  ordinal: number,
  tallies: readonly SetTally[],
): Promise<number | undefined> {
  const cellNames = tallies.map(({ set, labelSpace }) =>
    Object.keys(openCodec(set, labelSpace).columns).map((suffix) => `${set.name}_${suffix}`),
  );
  try {
    const names = ['sample_id', 'mask', ...cellNames.flat()];
    const columns = await reader.read([ordinal], names);
    const [count] = lengthsOf(columns.mask);
    const sampleId = columns.sample_id.buffers[0];
    const read = tallies.map(({ set, labelSpace, same }, i) => {
      const cells = cellNames[i].map((name) => columns[name].buffers[1]);
      const exact = exactOf(set, cells, { labelSpace, count });
      const levels =
        same === null ? undefined : levelsOf(set, cells, { width: labelSpace.size, count });
      return { cells, exact, levels };
    });
    tallies.forEach((tally, i) => {
      addToSet(tally, { ...read[i], sampleId, width: tally.labelSpace.size });
    });
    return count;
  } catch (thrown) {
    if (!isDamage(thrown)) throw thrown;
    return undefined;
  }
}

/** Stored entries in rank order, as a teacher would give them. */
function exactOf(
  set: TargetSet,
  cells: readonly Uint8Array[],
  { labelSpace, count }: { labelSpace: LabelSpace; count: number },
): Targets {
  const { offsets, ids, logprobs, rest } = ranked[set.codec.name](cells, {
    set,
    labelSpace,
    count,
  });
  const none = new Float32Array(0);
  const masses = set.kind === 'scaled' ? rest : new Float32Array(count);
  const shared = { kind: set.kind, count, labelLogprob: none, logZ: none };
  return { ...shared, offsets, ids, logprobs, rest: masses };
}

function addToSet(
  tally: SetTally,
  options: {
    cells: readonly Uint8Array[];
    exact: Targets;
    levels: Levels | undefined;
    sampleId: Uint8Array;
    width: number;
  },
): void {
  const { cells, exact, levels, sampleId, width } = options;
  for (const { length } of cells) tally.stored += length;
  for (const choice of tally.choices) {
    const targets = choice.targetsOf(exact, sampleId);
    addToChoice(choice, { targets, exact, width });
  }
  if (tally.same === null || levels === undefined) return;
  for (const compression of compressionNames) {
    const frame = encodePlanes(levels, { ...gridOf(tally.set.codec), compression });
    tally.same[compression] += frame.length;
  }
}

function savingsOf(
  { set, choices, same }: SetTally,
  { sampled, now, positions }: { sampled: number; now: number; positions: number },
): Saving[] {
  const { kind, codec, sparsifier } = set;
  const row = (
    flags: string,
    compression: Compression,
    { bytes, loss }: { bytes: number; loss: number },
  ): Saving => ({
    target_set: set.name,
    flags: compression === 'zstd' ? flags : `${flags} --compression ${compression}`,
    kind,
    compression,
    bytes_per_position: rounded(bytes),
    bytes_saved: Math.round((now - bytes) * positions),
    kl: kind === 'scaled' ? rounded(loss) : null,
    variance: kind === 'unbiased' ? rounded(loss) : null,
  });
  const rows = choicesOf(choices, sampled).flatMap((choice) =>
    compressionNames.map((compression) =>
      row(flagsOf(choice), compression, {
        bytes: choice.bytes[compression],
        loss: lossOf(choice),
      }),
    ),
  );
  if (same === null || !(sparsifier.name in sparsifiers)) return rows;
  const stored = { type: sparsifier.name, ...sparsifier.parameters } as SparsifierOptions;
  const flags = flagsOf({ sparsifier: stored, step: codec.parameters.step as number });
  // the same integers in another frame lose nothing; what is stored already is no saving
  const others = compressionNames.filter((name) => name !== codec.parameters.compression);
  const lossless = others.map((name) => row(flags, name, { bytes: same[name] / sampled, loss: 0 }));
  return [...lossless, ...rows];
}
