/** The order of one pass over one stream's items: as stored, shuffled, or shuffled by blocks. */
import { createHash } from 'node:crypto';
import type { Shuffle } from '../../schemas/plan.ts';
import { type Permutation, permutation, permutationBytes } from './permutation.ts';

/** Blocks that are shuffled together. */
const groupBlocks = 16;

/** Orders that were made lately, by key: those of small sets are tables. Shared by all plans. */
export interface OrderCache {
  get(key: string): Permutation | undefined;
  set(key: string, order: Permutation, bytes: number): void;
}

/** One pass of one epoch over one stream. */
export interface Pass {
  /** 64 hex digits. */
  readonly plan: string;
  readonly epoch: number;
  readonly stream: number;
  readonly pass: number;
}

/** Where item `index` of the pass lies among the stream's `items`. */
export function passOrder(
  shuffle: Shuffle,
  { pass, items, cache }: { pass: Pass; items: number; cache: OrderCache },
): Permutation {
  const order = (part: number, n: number) => {
    const name = `${pass.plan} ${pass.epoch} ${pass.stream} ${pass.pass} ${part}`;
    const known = cache.get(name);
    if (known !== undefined) return known;
    const made = permutation(orderKey(pass, part), n);
    cache.set(name, made, permutationBytes(n));
    return made;
  };
  if (shuffle.mode === 'none') return (index) => index;
  if (shuffle.mode === 'global') return order(0, items);
  return blocks(shuffle.block, { pass, items, order });
}

/**
 * Whole blocks in a keyed order, the rest of the items in their midst; then runs of 16 blocks are
 * shuffled inside.
 */
function blocks(
  block: number,
  options: { pass: Pass; items: number; order: (part: number, n: number) => Permutation },
): Permutation {
  const { pass, items, order } = options;
  const whole = Math.floor(items / block);
  const rest = items - whole * block;
  const draw = orderKey(pass, 1).readUInt32LE(0) / 2 ** 32;
  const restAt = Math.floor(draw * (whole + 1)) * block;
  const blockAt = order(0, whole);
  const stored = (place: number) => {
    if (place >= restAt && place < restAt + rest) return whole * block + (place - restAt);
    const among = place < restAt ? place : place - rest;
    const number = Math.floor(among / block);
    return blockAt(number) * block + (among - number * block);
  };
  const size = groupBlocks * block;
  let group: { number: number; at: Permutation } | undefined;
  return (index) => {
    const number = Math.floor(index / size);
    const first = number * size;
    if (group?.number !== number) {
      group = { number, at: order(2 + number, Math.min(size, items - first)) };
    }
    return stored(first + group.at(index - first));
  };
}

/**
 * SHA-256 over domain, plan, epoch, stream, pass and part: neighbouring seeds and epochs are
 * unrelated. Part 0 is the whole pass or the order of its blocks, 1 where the rest lies, 2 + g the
 * order inside group g.
 */
export function orderKey({ plan, epoch, stream, pass }: Pass, part: number): Buffer {
  const numbers = Buffer.alloc(24);
  numbers.writeUInt32LE(epoch, 0);
  numbers.writeUInt32LE(stream, 4);
  numbers.writeBigUInt64LE(BigInt(pass), 8);
  numbers.writeBigUInt64LE(BigInt(part), 16);
  const hash = createHash('sha256').update('logitcask/order/1').update(Buffer.from(plan, 'hex'));
  return hash.update(numbers).digest();
}
