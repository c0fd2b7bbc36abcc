/** A plan ready to be asked for steps: places of the order become rows of snapshots. */
import type { StoredPlan } from '../../schemas/plan.ts';
import { LogitcaskError } from '../errors.ts';
import { openFilter } from './filter.ts';
import { type Mix, spread } from './mix.ts';
import type { OrderStore } from './order-store.ts';
import type { Segment } from './pack.ts';
import { openPacking } from './packing.ts';
import { algorithm, itemsOf, mixOf, planId, stepsOf } from './plan.ts';
import { type OrderCache, passOrder } from './shuffle.ts';
import { filterPath, packingPath } from './stored.ts';

const epochMax = 2 ** 32 - 1;

export interface StepRequest {
  readonly epoch: number;
  readonly step: number;
  readonly rank: number;
  readonly world: number;
  /** So many neighbouring ranks receive the same batch (tensor parallelism); 1 by default. */
  readonly replicate?: number;
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

export interface OpenPlan {
  readonly id: string;
  readonly plan: StoredPlan;
  readonly steps: number;
  /** Throws `step-out-of-range`, `rank-out-of-range`, `index-damaged`. */
  samples(request: StepRequest): Promise<StepSamples>;
  /**
   * Rows of a rank's steps [from, to) together: arithmetic, whatever their number; of a packed plan
   * all its packs are looked at.
   */
  rows(request: StepsRequest): Promise<number>;
  /** Packed plans: positions of a pack. */
  readonly packLength?: number;
}

export interface StepsRequest extends Omit<StepRequest, 'step'> {
  readonly from: number;
  /** Behind the last step; at most the plan's `steps`. */
  readonly to: number;
}

/** One item of an epoch: which stream, the number of its draw from it, and whether it only pads. */
interface Place {
  readonly stream: number;
  readonly draw: number;
  readonly pad: boolean;
}

/** Rows of item `item` of a stream. */
type RowsOf = (item: number) => Promise<readonly Segment[]>;

/** Throws `plan-unsupported`, `index-damaged` where filter or packs are not those of the plan. */
export async function openPlan(
  plan: StoredPlan,
  { store, orders }: { store: OrderStore; orders: OrderCache },
): Promise<OpenPlan> {
  refuseAlgorithm(plan.identity.algorithm);
  const id = planId(plan.identity);
  const mix = mixOf(plan);
  const steps = stepsOf(plan, mix);
  const rows = await Promise.all(plan.streams.map((stream) => openRows(store, stream)));
  const items = plan.streams.map(itemsOf);
  const places = createPlaces(plan, mix);
  const packLength = plan.rules.packing?.length;
  const samples = async (request: StepRequest): Promise<StepSamples> => {
    const { epoch, step } = request;
    const [from, to] = ownPlaces(check(request, steps), places.size(step));
    const cut = places.range(step, from, to);
    const passes = new Map<string, (index: number) => number>();
    const itemOf = ({ stream, draw }: Place) => {
      const pass = Math.floor(draw / items[stream]);
      const key = `${stream}/${pass}`;
      let order = passes.get(key);
      if (order === undefined) {
        const own = { plan: id, epoch, stream, pass };
        order = passOrder(plan.identity.shuffle, {
          pass: own,
          items: items[stream],
          cache: orders,
        });
        passes.set(key, order);
      }
      return order(draw - pass * items[stream]);
    };
    const found = await Promise.all(cut.map((place) => rows[place.stream](itemOf(place))));
    return joinRows(cut, found, packLength !== undefined);
  };
  return {
    id,
    plan,
    steps,
    packLength,
    samples,
    async rows(request) {
      const { from, to } = request;
      const view = check({ ...request, step: from }, steps);
      if (!(to > from && to <= steps)) {
        throw outOfRange('step-out-of-range', `step ${to}`, `${from + 1} … ${steps}`);
      }
      const own = (step: number) => {
        const [first, end] = ownPlaces(view, places.size(step));
        return end - first;
      };
      if (packLength === undefined) return (to - from - 1) * own(from) + own(to - 1);
      let rows = 0;
      for (let step = from; step < to; step++) {
        rows += (await samples({ ...request, step })).ordinals.length;
      }
      return rows;
    },
  };
}

/** Places of a step that a rank receives: [first, end). */
function ownPlaces({ rank, world }: View, size: number): [number, number] {
  return [Math.floor((size * rank) / world), Math.floor((size * (rank + 1)) / world)];
}

function refuseAlgorithm(got: string): void {
  if (got === algorithm) return;
  const message = 'plan: it was made by a version that orders samples in another way';
  throw new LogitcaskError('plan-unsupported', message, { expected: algorithm, got });
}

async function openRows(store: OrderStore, stream: StoredPlan['streams'][number]): Promise<RowsOf> {
  const { filter, packing } = stream;
  if (packing !== null) return openPacking(store, packingPath(packing.name), packing.sha256);
  const whole = (ordinal: number) => [{ ordinal, first: 0, positions: 0 }];
  if (filter === null) return async (item) => whole(item);
  const select = await openFilter(store, filterPath(filter.name), filter.sha256);
  return async (item) => whole(await select(item));
}

/** Places of a step; tail `pad` fills the last one with those from the epoch's start on. */
function createPlaces(plan: StoredPlan, mix: Mix) {
  const { global_batch: batch, tail } = plan.identity;
  const left = mix.size - mix.full * batch;
  const streams = plan.streams.length;
  let last: { step: number; counts: number[]; streams: Uint16Array } | undefined;
  const spreadOf = (step: number) => {
    if (last?.step !== step) {
      const counts = mix.counts(step);
      last = { step, counts, streams: spread(counts) };
    }
    return last.streams;
  };
  /** Places [from, to) of one step, none of them beyond what the epoch has. */
  const own = (step: number, from: number, to: number): Place[] => {
    const draws = mix.before(step);
    if (streams === 1) {
      return Array.from({ length: to - from }, (_, i) => {
        return { stream: 0, draw: draws[0] + from + i, pad: false };
      });
    }
    const found: Place[] = [];
    const at = spreadOf(step);
    for (let q = 0; q < to; q++) {
      const draw = draws[at[q]]++;
      if (q >= from) found.push({ stream: at[q], draw, pad: false });
    }
    return found;
  };
  const held = (step: number) => (step < mix.full ? batch : left);
  return {
    size: (step: number) => (tail === 'pad' ? batch : held(step)),
    range(step: number, from: number, to: number): Place[] {
      const real = held(step);
      const found = own(step, Math.min(from, real), Math.min(to, real));
      for (let q = Math.max(from, real); q < to; ) {
        const place = (q - real) % mix.size;
        const first = Math.floor(place / batch);
        const inside = place - first * batch;
        const run = Math.min(to - q, held(first) - inside);
        found.push(...own(first, inside, inside + run).map((one) => ({ ...one, pad: true })));
        q += run;
      }
      return found;
    },
  };
}

function joinRows(
  places: readonly Place[],
  found: readonly (readonly Segment[])[],
  packed: boolean,
): StepSamples {
  if (!packed) {
    return {
      streams: places.map(({ stream }) => stream),
      ordinals: found.map(([{ ordinal }]) => ordinal),
      pad: new Uint8Array(places.map(({ pad }) => Number(pad))),
    };
  }
  const rows = found.flat();
  const owner = found.flatMap((segments, i) => segments.map(() => i));
  let at = 0;
  const offset = Int32Array.from(rows, ({ positions }, i) => {
    at = i > 0 && owner[i] === owner[i - 1] ? at : 0;
    at += positions;
    return at - positions;
  });
  return {
    streams: owner.map((i) => places[i].stream),
    ordinals: rows.map(({ ordinal }) => ordinal),
    pad: new Uint8Array(owner.map((i) => Number(places[i].pad))),
    segments: {
      pack: Int32Array.from(owner),
      offset,
      first: Int32Array.from(rows, ({ first }) => first),
      positions: Int32Array.from(rows, ({ positions }) => positions),
    },
  };
}

/** Rank and world once replicas are taken for one. */
interface View {
  readonly rank: number;
  readonly world: number;
}

function check({ epoch, step, rank, world, replicate = 1 }: StepRequest, steps: number): View {
  if (!(Number.isInteger(epoch) && epoch >= 0 && epoch <= epochMax)) {
    throw outOfRange('step-out-of-range', `epoch ${epoch}`, `0 … ${epochMax}`);
  }
  if (!(Number.isInteger(step) && step >= 0 && step < steps)) {
    throw outOfRange('step-out-of-range', `step ${step}`, `0 … ${steps - 1}`);
  }
  if (!(rank >= 0 && rank < world)) {
    throw outOfRange('rank-out-of-range', `rank ${rank} of ${world}`, `0 … ${world - 1}`);
  }
  if (world % replicate === 0) {
    return { rank: Math.floor(rank / replicate), world: world / replicate };
  }
  const got = `${replicate} replicas in a world of ${world}`;
  throw outOfRange('rank-out-of-range', got, `a divisor of ${world}`);
}

function outOfRange(
  code: 'step-out-of-range' | 'rank-out-of-range',
  got: string,
  expected: string,
): LogitcaskError {
  return new LogitcaskError(code, `plan: ${got} does not exist`, { expected, got });
}
