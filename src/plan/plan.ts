/**
 * A plan: which rows each rank receives at each step of each epoch. Pure functions; no session.
 */
import type { PlanIdentity, PlanReply, PlanRequest, StoredPlan } from '../../schemas/plan.ts';
import { digestOf } from '../formats/canonical.ts';
import { createMix, type Mix } from './mix.ts';

/**
 * Names the permutation, its rounds, its keyed function and byte order, the groups of blocks and
 * the way to mix; part of every plan's id.
 */
export const algorithm = 'feistel10-murmur3-le/fisher-yates-65536/groups-16/rotation-mix';

/** A stream of a request, found in a store, with what its filter and packs were computed to be. */
export type PlanStream = StoredPlan['streams'][number] & { readonly contentId: string };

/** Throws `request-invalid` where shares cannot be met. */
export function makePlan(request: PlanRequest, streams: readonly PlanStream[]): StoredPlan {
  const { seed, shuffle, global_batch, epoch_size, stop, tail, packing, filter } = request;
  const digestsOf = (part: 'filter' | 'packing') => streams.map((stream) => stream[part]!.sha256);
  const plan: StoredPlan = {
    identity: {
      algorithm,
      streams: streams.map(({ contentId }, i) => {
        const { proportion, repeat, choose } = request.streams[i];
        return {
          content_id: contentId,
          ...(proportion === undefined ? {} : { proportion }),
          ...(repeat === undefined ? {} : { repeat }),
          ...(choose === undefined ? {} : { choose }),
        };
      }),
      seed,
      shuffle,
      global_batch,
      epoch_size,
      stop,
      packing: packing && digestOf({ length: packing.length, streams: digestsOf('packing') }),
      tail,
      filter: filter && digestOf({ streams: digestsOf('filter') }),
    },
    rules: { packing, filter },
    streams: streams.map(({ contentId: _, ...stream }) => stream),
  };
  mixOf(plan);
  return plan;
}

export function planId(identity: PlanIdentity): string {
  return digestOf(identity);
}

/** Items of a stream: samples, those that its filter keeps, or packs. */
export function itemsOf({ samples, filter, packing }: StoredPlan['streams'][number]): number {
  return packing?.packs ?? filter?.kept ?? samples;
}

export function mixOf({ identity, streams }: StoredPlan): Mix {
  return createMix(identity, streams.map(itemsOf));
}

export function stepsOf({ identity }: StoredPlan, mix: Mix): number {
  const short = mix.size > mix.full * identity.global_batch;
  return mix.full + (short && identity.tail !== 'drop' ? 1 : 0);
}

export function planReply(plan: StoredPlan): PlanReply {
  const { identity, rules, streams } = plan;
  const mix = mixOf(plan);
  const drawn = identity.tail === 'drop' ? mix.fullQuotas : mix.quotas;
  return {
    plan: planId(identity),
    identity,
    rules,
    streams: streams.map((stream, i) => {
      const items = itemsOf(stream);
      return { ...stream, items, drawn: drawn[i], unseen: Math.max(0, items - drawn[i]) };
    }),
    steps_per_epoch: stepsOf(plan, mix),
    items_per_epoch: drawn.reduce((sum, count) => sum + count, 0),
    packing_efficiency: efficiencyOf(plan),
  };
}

function efficiencyOf({ rules, streams }: StoredPlan): number | null {
  if (rules.packing === null) return null;
  let packs = 0;
  let positions = 0;
  for (const { packing } of streams) {
    packs += packing!.packs;
    positions += packing!.positions;
  }
  return packs === 0 ? 1 : positions / (packs * rules.packing.length);
}
