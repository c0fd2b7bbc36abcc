/** Bytes a position of what is stored elsewhere, by arithmetic. */

/** Entries of the lists that others recommend. */
export const peerK = 64;

/** bfloat16 of the first 16 log-probs, float32 of the six terms of a polynomial for the others. */
const distillKitBytes = (k: number) => (k > 16 ? 2 * 16 + 6 * 4 : 2 * k);

/** Of lists of `k` entries, ids in as many bits as V needs where a format packs them. */
export function otherFormats(vocabulary: number, k = peerK): { name: string; bytes: number }[] {
  const idBits = Math.ceil(Math.log2(Math.max(2, vocabulary)));
  return [
    { name: 'whole distributions, float32', bytes: 4 * vocabulary },
    { name: `codec raw, top-${k}`, bytes: 8 * k + 8 },
    { name: `int32 + float32 top-${k}`, bytes: 8 * k },
    { name: `int32 + float16 top-${k}`, bytes: 6 * k },
    { name: `DistillKit top-${k}`, bytes: Math.ceil((idBits * k) / 8) + distillKitBytes(k) },
  ];
}
