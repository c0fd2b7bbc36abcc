/** How far what is stored lies from what the teacher said, measured on the reference positions. */
import type { Fidelity, TargetSet } from '../../schemas/manifest.ts';
import { divergence, type PositionDivergence } from '../distribution/divergence.ts';
import type { DecodedTargets } from '../distribution/targets.ts';
import { openCodec } from '../encode/table.ts';
import type { SnapshotReader } from '../shard/reader.ts';
import type { ReferencePosition } from '../shard/reference.ts';

/** Six significant digits: enough to compare, and stable where sums round differently. */
const rounded = (value: number) => Number(value.toPrecision(6));

/** Positions of one sample, decoded from the target set. */
export async function readTargets(
  reader: SnapshotReader,
  set: TargetSet,
  ordinal: number,
): Promise<DecodedTargets> {
  const codec = openCodec(set, reader.manifest.label_space);
  const names = Object.keys(codec.columns).map((suffix) => `${set.name}_${suffix}`);
  const columns = await reader.read([ordinal], ['mask', ...names]);
  const count = new Int32Array(new Uint8Array(columns.mask.buffers[0]).buffer)[1];
  const cells = names.map((name) => columns[name].buffers[1]);
  return codec.decode(cells, count);
}

/** Compares the stored targets of each reference position with its exact list, cut to K entries. */
export async function measureFidelity(
  reader: SnapshotReader,
  set: TargetSet,
  reference: AsyncIterable<readonly ReferencePosition[]>,
): Promise<Fidelity> {
  const width = reader.manifest.label_space.size;
  const { k = width } = set.sparsifier.parameters;
  const found: PositionDivergence[] = [];
  let stored: { ordinal: number; targets: DecodedTargets } | undefined;
  for await (const rows of reference) {
    for (const row of rows) {
      if (stored?.ordinal !== row.ordinal) {
        const targets = await readTargets(reader, set, row.ordinal);
        stored = { ordinal: row.ordinal, targets };
      }
      const options = { position: row.position, width };
      found.push(divergence(cutTo(k, row), stored.targets, options));
    }
  }
  const { step } = set.codec.parameters;
  const learned = reader.manifest.totals.positions;
  const entries = set.entries / Math.max(1, learned);
  const predicted = typeof step === 'number' ? rounded((entries * step * step) / 6) : null;
  const mass = found.reduce((sum, { mass }) => sum + mass, 0) / Math.max(1, found.length);
  return {
    positions: found.length,
    kl: summary(found.map(({ merged }) => merged)),
    kl_spread: summary(found.map(({ spread }) => spread)),
    kl_predicted: predicted,
    mass: rounded(mass),
  };
}

function cutTo(k: number, row: ReferencePosition) {
  let tail = row.tail;
  for (let i = k; i < row.logprobs.length; i++) tail += Math.exp(row.logprobs[i]);
  return { ids: row.ids.subarray(0, k), logprobs: row.logprobs.subarray(0, k), tail };
}

function summary(values: number[]): Fidelity['kl'] {
  if (values.length === 0) return null;
  const sorted = values.sort((a, b) => a - b);
  const mean = sorted.reduce((sum, value) => sum + value, 0) / sorted.length;
  const p99 = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.99))];
  return { mean: rounded(mean), p99: rounded(p99), max: rounded(sorted[sorted.length - 1]) };
}
