/** Safetensors files as the format has them: a header of JSON behind its length, then the bytes. */
export type Tensors = Readonly<
  Record<string, { dtype: string; shape: readonly number[]; bytes: Uint8Array }>
>;

export function headerOf(tensors: Tensors): Record<string, object> {
  let at = 0;
  const entries = Object.entries(tensors).map(([name, { dtype, shape, bytes }]) => {
    const from = at;
    at += bytes.length;
    return [name, { dtype, shape, data_offsets: [from, at] }] as const;
  });
  return { __metadata__: { format: 'pt' }, ...Object.fromEntries(entries) };
}

export function safetensors(tensors: Tensors, header: unknown = headerOf(tensors)): Buffer {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([prefix, text, ...Object.values(tensors).map(({ bytes }) => bytes)]);
}
