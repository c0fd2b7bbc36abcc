/** Members of a golden `.npz` as arrays. */
import { openNpz } from '../../src/formats/npz.ts';

export interface GoldenArray {
  readonly shape: readonly number[];
  /** The values' bytes, in memory of their own. */
  readonly buffer: ArrayBuffer;
}

export async function goldenMember(file: string, name: string): Promise<GoldenArray> {
  const npz = await openNpz(file);
  const { header, take, close } = await npz.open(name);
  const bytes = await take(header.shape.reduce((a, b) => a * b, header.width));
  close();
  npz.close();
  return { shape: header.shape, buffer: new Uint8Array(bytes).buffer };
}
