/** Which side a prompt is on: decided by itself alone, so that more prompts move none. */
import { createHash } from 'node:crypto';

export const sides = ['train', 'validation'] as const;
export type Side = (typeof sides)[number];

/** All responses of a prompt, and of prompts like it, are on one side. */
export function sideOf(likeness: Buffer, validation: number): Side {
  const hash = createHash('sha256').update('logitcask/split/1|').update(likeness).digest();
  return hash.readUIntLE(0, 6) / 2 ** 48 < validation ? 'validation' : 'train';
}
