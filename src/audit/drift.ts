/**
 * Two target sets over the same samples, position by position: a teacher before and after it was
 * quantised, two teachers, or one stored in two ways. Distances are the least that what is stored
 * allows: they can be larger where a set does not say how its rest is spread, never smaller.
 */
import type { DriftReport } from '../../schemas/audit.ts';
import { auditRowsMax } from '../../schemas/audit.ts';
import type { TargetSet } from '../../schemas/manifest.ts';
import { rounded } from '../distribution/rounded.ts';
import { labelSpaceIn } from '../encode/table.ts';
import { LogitcaskError } from '../errors.ts';
import { canonicalJson } from '../formats/canonical.ts';
import { lengthsOf, textsOf } from '../formats/cells.ts';
import { unpackBits } from '../formats/layout.ts';
import { openSnapshot } from '../shard/open-snapshot.ts';
import { readTargets } from '../shard/read-targets.ts';
import type { SnapshotReader } from '../shard/reader.ts';
import { overlapOf } from '../shard/sample-index.ts';
import type { Store } from '../store/store.ts';
import { comparePositions, type Stored } from './drift-position.ts';
import { stopped } from './pass-shard.ts';
import { addTo, newSketch, summaryOf } from './sketch.ts';
import { sourceReader } from './source-of.ts';

export interface DriftSide {
  readonly dataset: string;
  /** Digest or tag. */
  readonly snapshot: string;
  /** The first one by default. */
  readonly set?: string;
}

const worstMax = 20;
/** Sources that are told apart; the positions of later ones count under no source of their own. */
const sourcesMax = 65_536;

interface Side {
  readonly reader: SnapshotReader;
  readonly set: TargetSet;
}

/**
 * Errors: `conflict` where the two cannot be compared, `interrupted`, those of the snapshots and
 * their frames.
 */
export async function measureDrift(
  store: Store,
  { before, after, signal }: { before: DriftSide; after: DriftSide; signal?: AbortSignal },
): Promise<DriftReport> {
  const sides: Side[] = [];
  try {
    for (const { dataset, snapshot, set } of [before, after]) {
      const reader = await openSnapshot(store, { dataset, snapshot });
      sides.push({ reader, set: setOf(reader, set) });
    }
    const [a, b] = sides;
    refuseUnlike(a, b);
    const samples = await overlapOf(store, a.reader.manifest, b.reader.manifest);
    const tally = createTally();
    const sourceOf = sourceReader();
    const { samples: total } = a.reader.manifest.totals;
    for (let ordinal = 0; ordinal < total; ordinal++) {
      if (signal?.aborted) throw stopped();
      await compareSample(a, b, { ordinal, tally, sourceOf });
    }
    return { before: sideOf(a), after: sideOf(b), samples, ...tally.report() };
  } finally {
    for (const { reader } of sides) await reader.close();
  }
}

const sideOf = ({ reader, set }: Side) => ({
  dataset: reader.manifest.dataset,
  snapshot: reader.id,
  target_set: set.name,
});

function setOf({ manifest }: SnapshotReader, name: string | undefined): TargetSet {
  const { target_sets, dataset } = manifest;
  const set = target_sets.find((one) => name === undefined || one.name === name);
  if (set !== undefined) return set;
  const message =
    name === undefined
      ? `drift: ${dataset} holds hard labels alone; compare snapshots with targets`
      : `drift: ${dataset} has no target set ${name}; name one that it has`;
  const expected = target_sets.map((one) => one.name);
  throw new LogitcaskError('conflict', message, { expected, got: name });
}

function refuseUnlike(a: Side, b: Side): void {
  const spaces = [a, b].map(({ reader, set }) => {
    return canonicalJson(labelSpaceIn(set, reader.manifest.label_space));
  });
  if (spaces[0] !== spaces[1]) {
    const message = 'drift: the target sets are over different tokenizers or vocabularies';
    throw new LogitcaskError('conflict', message, { expected: spaces[0], got: spaces[1] });
  }
  const kinds = [a, b].map(({ set: { normalisation, temperature } }) => {
    return canonicalJson({ normalisation, temperature });
  });
  if (kinds[0] === kinds[1] && a.set.normalisation === 'softmax') return;
  const message =
    'drift: the target sets are at different temperatures, or no softmax; compare two that are';
  throw new LogitcaskError('conflict', message, { expected: kinds[0], got: kinds[1] });
}

/** What both hold of one sample, at its learned positions. */
async function compareSample(
  a: Side,
  b: Side,
  options: { ordinal: number; tally: Tally; sourceOf: (meta: string) => string },
): Promise<void> {
  const { ordinal, tally, sourceOf } = options;
  const { targets: own, columns } = await readTargets(a.reader, a.set, ordinal, [
    'sample_id',
    'meta',
  ]);
  const sampleId = columns.sample_id.buffers[0];
  const other = await b.reader.find(sampleId);
  if (other === undefined) return;
  const { targets } = await readTargets(b.reader, b.set, other);
  const mask = unpackBits(columns.mask.buffers[1], lengthsOf(columns.mask)[0]);
  const [before, after]: Stored[] = [
    { targets: own, set: a.set },
    { targets, set: b.set },
  ];
  const source = sourceOf(textsOf(columns.meta)[0]);
  const hex = Buffer.from(sampleId).toString('hex');
  for (let t = 0; t < mask.length; t++) {
    if (mask[t] === 0 || isEmpty(before, t) || isEmpty(after, t)) continue;
    tally.add(comparePositions(before, after, t), { sample_id: hex, position: t, source });
  }
}

const isEmpty = ({ targets: { offsets } }: Stored, t: number) => offsets[t] === offsets[t + 1];

type Tally = ReturnType<typeof createTally>;

interface Place {
  readonly sample_id: string;
  readonly position: number;
  readonly source: string;
}

function createTally() {
  const [kl, klBack, variation] = [newSketch(), newSketch(), newSketch()];
  const sources = new Map<string, { positions: number; kl: number; top1: number }>();
  let agreed = 0;
  let worst: DriftReport['positions_most'] = [];
  return {
    add(found: ReturnType<typeof comparePositions>, { sample_id, position, source }: Place) {
      addTo(kl, found.kl);
      addTo(klBack, found.klBack);
      addTo(variation, found.variation);
      const same = found.sameTop ? 1 : 0;
      agreed += same;
      const own = sources.get(source) ?? { positions: 0, kl: 0, top1: 0 };
      if (own.positions > 0 || sources.size < sourcesMax) sources.set(source, own);
      own.positions++;
      own.kl += Math.max(0, found.kl);
      own.top1 += same;
      const least = worst.length < worstMax ? 0 : worst[worst.length - 1].kl;
      if (!(found.kl > least)) return;
      worst = [...worst, { sample_id, position, kl: rounded(found.kl) }]
        .sort((x, y) => y.kl - x.kl)
        .slice(0, worstMax);
    },
    report() {
      const rows = [...sources]
        .map(([source, { positions, ...sums }]) => ({
          source,
          positions,
          kl: rounded(sums.kl / positions),
          top1: rounded(sums.top1 / positions),
        }))
        .sort((x, y) => y.kl - x.kl || y.positions - x.positions);
      return {
        positions: kl.count,
        kl: summaryOf(kl),
        kl_back: summaryOf(klBack),
        total_variation: summaryOf(variation),
        top1: rounded(agreed / Math.max(1, kl.count)),
        sources: { total: rows.length, rows: rows.slice(0, auditRowsMax) },
        positions_most: worst,
      };
    },
  };
}
