/** Proof of an order: SHA-256 over the sample ids of steps, as a trainer receives them. */
import { createHash, type Hash } from 'node:crypto';
import type { OrderDigest } from '../../schemas/plan.ts';
import { LogitcaskError } from '../errors.ts';
import type { OpenPlan, StepSamples } from '../plan/open-plan.ts';
import { idsOf } from '../shard/ids-of.ts';
import type { SnapshotReader } from '../shard/reader.ts';
import { sampleIdBytes } from '../shard/sample-id.ts';

/** Rows whose ids are gathered together. */
const rowsAtOnce = 65_536;

export interface DigestRange {
  readonly epoch: number;
  readonly from: number;
  /** Behind the last step. */
  readonly to: number;
  readonly rank: number;
  readonly world: number;
  readonly replicate: number;
}

/**
 * Rows that only pad are left out; of packs the part of the sample counts too. Throws
 * `step-out-of-range`, `request-invalid` where more than `rowsMax` rows would be hashed.
 */
export async function orderDigest(
  plan: OpenPlan,
  range: DigestRange,
  { readers, rowsMax }: { readers: readonly SnapshotReader[]; rowsMax: number },
): Promise<OrderDigest> {
  const { epoch, from, to, world, replicate } = range;
  const batch = Math.ceil((plan.plan.identity.global_batch * replicate) / world);
  refuseRange(plan, { from, to, batch, rowsMax });
  const hash = createHash('sha256');
  let waiting: StepSamples[] = [];
  let held = 0;
  let rows = 0;
  const flush = async () => {
    rows += await hashRows(hash, waiting, readers);
    waiting = [];
    held = 0;
  };
  for (let step = from; step < to; step++) {
    const samples = await plan.samples({ ...range, step });
    waiting.push(samples);
    held += samples.ordinals.length;
    if (held >= rowsAtOnce) await flush();
  }
  await flush();
  return { plan: plan.id, epoch, from, to, rows, digest: hash.digest('hex') };
}

function refuseRange(
  { steps }: OpenPlan,
  { from, to, batch, rowsMax }: { from: number; to: number; batch: number; rowsMax: number },
): void {
  if (!(from <= to && to <= steps)) {
    const message = `plan: there are no steps from ${from} to ${to}`;
    const expected = `0 ≤ from ≤ to ≤ ${steps}`;
    throw new LogitcaskError('step-out-of-range', message, { expected, got: [from, to] });
  }
  if ((to - from) * batch <= rowsMax) return;
  const message = 'request: the digest would go over too many rows; ask for fewer steps';
  const got = `${to - from} steps of up to ${batch} rows`;
  throw new LogitcaskError('request-invalid', message, { expected: `${rowsMax} rows`, got });
}

async function hashRows(
  hash: Hash,
  steps: readonly StepSamples[],
  readers: readonly SnapshotReader[],
): Promise<number> {
  const ids = await Promise.all(
    readers.map((reader, stream) => {
      const own = steps.flatMap((step) =>
        step.ordinals.filter((_, i) => step.streams[i] === stream),
      );
      return idsOf(reader, own);
    }),
  );
  const at = readers.map(() => 0);
  const part = Buffer.alloc(8);
  let rows = 0;
  for (const { streams, pad, segments } of steps) {
    for (const [i, stream] of streams.entries()) {
      const id = ids[stream].subarray(at[stream], at[stream] + sampleIdBytes);
      at[stream] += sampleIdBytes;
      if (pad[i]) continue;
      rows++;
      hash.update(id);
      if (segments === undefined) continue;
      part.writeUInt32LE(segments.first[i], 0);
      part.writeUInt32LE(segments.positions[i], 4);
      hash.update(part);
    }
  }
  return rows;
}
