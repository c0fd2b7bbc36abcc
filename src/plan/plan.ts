/**
 * A plan: which samples each rank receives at each step of each epoch. Pure functions; no session.
 */
import { createHash } from 'node:crypto';
import type { PlanIdentity, PlanReply, PlanRequest, StoredPlan } from '../../schemas/plan.ts';
import { LogitcaskError } from '../errors.ts';
import { digestOf } from '../formats/canonical.ts';
import { type Permutation, permutation } from './permutation.ts';

/**
 * Names the permutation, its rounds, its keyed function and byte order; part of every plan's id.
 */
export const algorithm = 'feistel10-murmur3-le/fisher-yates-65536';

const epochMax = 2 ** 32 - 1;

/** A stream of a request, found in a store. */
export interface PlanStream {
  readonly dataset: string;
  /** Id of the snapshot. */
  readonly snapshot: string;
  readonly contentId: string;
  readonly samples: number;
}

/** Throws `plan-unsupported` on what this version cannot order. */
export function makePlan(request: PlanRequest, streams: readonly PlanStream[]): StoredPlan {
  refuseUnsupported(request, streams);
  const identity: PlanIdentity = {
    algorithm,
    streams: streams.map(({ contentId }) => ({ content_id: contentId })),
    seed: request.seed,
    shuffle: request.shuffle,
    global_batch: request.global_batch,
    epoch_size: request.epoch_size,
    stop: request.stop,
    packing: request.packing,
    tail: request.tail,
    filter: request.filter,
  };
  return {
    identity,
    streams: streams.map(({ dataset, snapshot, samples }) => ({ dataset, snapshot, samples })),
  };
}

function refuseUnsupported(request: PlanRequest, streams: readonly PlanStream[]): void {
  const [stream] = request.streams;
  const asked = {
    'several streams': streams.length !== 1,
    'shuffle.mode block': request.shuffle.mode === 'block',
    'streams.proportion, repeat or choose':
      (stream.proportion ?? stream.repeat ?? stream.choose) !== undefined,
    epoch_size: request.epoch_size !== null,
    packing: request.packing !== null,
    filter: request.filter !== null,
  };
  const found = Object.entries(asked).find(([, yes]) => yes)?.[0];
  if (found === undefined) return;
  throw new LogitcaskError('plan-unsupported', `plan: ${found} cannot be run by this version`, {
    expected: 'one whole snapshot, shuffle none or global',
    got: found,
  });
}

export function planId(identity: PlanIdentity): string {
  return digestOf(identity);
}

export function stepsPerEpoch({ identity, streams }: StoredPlan): number {
  const steps = streams[0].samples / identity.global_batch;
  return identity.tail === 'drop' ? Math.floor(steps) : Math.ceil(steps);
}

export function planReply(plan: StoredPlan): PlanReply {
  const { identity, streams } = plan;
  const steps = stepsPerEpoch(plan);
  const drawn = Math.min(streams[0].samples, steps * identity.global_batch);
  return {
    plan: planId(identity),
    identity,
    streams: streams.map((stream) => ({ ...stream, drawn, unseen: stream.samples - drawn })),
    steps_per_epoch: steps,
    samples_per_epoch: drawn,
  };
}

export interface StepRequest {
  readonly epoch: number;
  readonly step: number;
  readonly rank: number;
  readonly world: number;
}

/** The rows of one rank's batch, in order. */
export interface StepSamples {
  /** Which of the plan's streams each row comes from. */
  readonly streams: readonly number[];
  /** Ordinals in the streams' snapshots. */
  readonly ordinals: readonly number[];
  /** 1 where the row only fills the step (tail `pad`): weight 0. */
  readonly pad: Uint8Array;
  /** Packed plans only: which part of its sample each row holds, and where it lies. */
  readonly segments?: Segments;
}

/** One value a row. A row is a run of positions of one sample, inside one pack. */
export interface Segments {
  /** Number of the pack within the batch, from 0. */
  readonly pack: Int32Array;
  /** Where the row begins in its pack. */
  readonly offset: Int32Array;
  /** First position of the sample that the row holds. */
  readonly first: Int32Array;
  /** Positions that the row holds. */
  readonly positions: Int32Array;
}

/** A plan ready to be asked for steps; keeps the order of the epoch that was asked for last. */
export interface OpenPlan {
  readonly id: string;
  readonly plan: StoredPlan;
  readonly steps: number;
  /** Throws `step-out-of-range`, `rank-out-of-range`. */
  samples(request: StepRequest): Promise<StepSamples>;
  /** Rows of a rank's steps [from, to) together: arithmetic, whatever their number. */
  rows(request: StepsRequest): Promise<number>;
  /** Plans of packs: positions of a pack. */
  readonly packLength?: number;
}

export interface StepsRequest extends Omit<StepRequest, 'step'> {
  readonly from: number;
  /** Behind the last step; at most the plan's `steps`. */
  readonly to: number;
}

export function openPlan(plan: StoredPlan): OpenPlan {
  const id = planId(plan.identity);
  const steps = stepsPerEpoch(plan);
  let order: { epoch: number; at: Permutation } | undefined;
  return {
    id,
    plan,
    steps,
    async samples({ epoch, step, rank, world }) {
      check({ epoch, step, rank, world }, steps);
      if (order?.epoch !== epoch) order = { epoch, at: epochOrder(plan, id, epoch) };
      const { at } = order;
      const n = plan.streams[0].samples;
      const batch = plan.identity.global_batch;
      const low = step * batch;
      const size = plan.identity.tail === 'pad' ? batch : Math.min(batch, n - low);
      const from = low + Math.floor((size * rank) / world);
      const to = low + Math.floor((size * (rank + 1)) / world);
      const indices = Array.from({ length: to - from }, (_, i) => from + i);
      return {
        streams: indices.map(() => 0),
        // the tail is filled from the start of the same epoch, and marked
        ordinals: indices.map((index) => at(index % n)),
        pad: Uint8Array.from(indices, (index) => (index < n ? 0 : 1)),
      };
    },
    async rows({ epoch, from, to, rank, world }) {
      check({ epoch, step: from, rank, world }, steps);
      if (!(to > from && to <= steps)) {
        throw outOfRange('step-out-of-range', `step ${to}`, `${from + 1} … ${steps}`);
      }
      const batch = plan.identity.global_batch;
      const own = (size: number) =>
        Math.floor((size * (rank + 1)) / world) - Math.floor((size * rank) / world);
      const last = plan.streams[0].samples - (steps - 1) * batch;
      const short = to === steps && plan.identity.tail === 'short' ? 1 : 0;
      return (to - from - short) * own(batch) + short * own(Math.min(batch, last));
    },
  };
}

function epochOrder({ identity, streams }: StoredPlan, id: string, epoch: number): Permutation {
  if (identity.shuffle.mode === 'none') return (index) => index;
  return permutation(orderKey(id, epoch, 0), streams[0].samples);
}

/** SHA-256 over domain, plan, epoch and stream: neighbouring seeds and epochs are unrelated. */
export function orderKey(plan: string, epoch: number, stream: number): Uint8Array {
  const numbers = Buffer.alloc(8);
  numbers.writeUInt32LE(epoch, 0);
  numbers.writeUInt32LE(stream, 4);
  const hash = createHash('sha256').update('logitcask/order/1').update(Buffer.from(plan, 'hex'));
  return hash.update(numbers).digest();
}

function check({ epoch, step, rank, world }: StepRequest, steps: number): void {
  if (!(Number.isInteger(epoch) && epoch >= 0 && epoch <= epochMax)) {
    throw outOfRange('step-out-of-range', `epoch ${epoch}`, `0 … ${epochMax}`);
  }
  if (!(Number.isInteger(step) && step >= 0 && step < steps)) {
    throw outOfRange('step-out-of-range', `step ${step}`, `0 … ${steps - 1}`);
  }
  if (!(rank >= 0 && rank < world)) {
    throw outOfRange('rank-out-of-range', `rank ${rank} of ${world}`, `0 … ${world - 1}`);
  }
}

function outOfRange(
  code: 'step-out-of-range' | 'rank-out-of-range',
  got: string,
  expected: string,
): LogitcaskError {
  return new LogitcaskError(code, `plan: ${got} does not exist`, { expected, got });
}
