/** The codecs by name, opened for writing from a configuration or for reading from a manifest. */
import type { LabelSpace, TargetSet } from '../../schemas/manifest.ts';
import { LogitcaskError } from '../errors.ts';
import type { Codec, CodecOptions } from './codec.ts';
import type { Compression } from './compression.ts';
import { plain } from './plain.ts';
import { planes } from './planes.ts';
import { raw } from './raw.ts';

type Parameters = Readonly<Record<string, number | string>>;

const codecs: Readonly<Record<string, (options: CodecOptions, parameters: Parameters) => Codec>> = {
  planes: (options, { step, tau, compression }) =>
    planes({
      ...options,
      step: step as number,
      tau: tau as number | undefined,
      compression: compression as Compression,
    }),
  plain: (options, { step, tau }) =>
    plain({ ...options, step: step as number, tau: tau as number | undefined }),
  raw: ({ kind, width }) => raw({ kind, width }),
};

export function createCodec(
  name: string,
  options: CodecOptions,
  parameters: Parameters = {},
): Codec {
  const create = codecs[name];
  if (create !== undefined) return create(options, parameters);
  throw new LogitcaskError('manifest-unsupported', `encode: codec \`${name}\` is not known here`, {
    expected: Object.keys(codecs).join(', '),
    got: name,
  });
}

/** What a target set is over: its own label space, or else the snapshot's. */
export function labelSpaceIn(set: TargetSet, labelSpace: LabelSpace): LabelSpace {
  return set.label_space ?? labelSpace;
}

/** The codec that a target set was written with, in a snapshot of that label space. */
export function openCodec(set: TargetSet, labelSpace: LabelSpace): Codec {
  const options = { kind: set.kind, width: labelSpaceIn(set, labelSpace).size };
  return createCodec(set.codec.name, options, set.codec.parameters);
}
