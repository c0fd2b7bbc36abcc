/** Sequences of a sealed snapshot, read back as a teacher's lists. */
import type { TargetSet } from '../../schemas/manifest.ts';
import type { ListRows } from '../distribution/rows.ts';
import { fromFloat16 } from '../formats/float16.ts';
import { int32Of } from '../formats/layout.ts';
import { readTargets } from '../shard/read-targets.ts';
import type { SnapshotReader } from '../shard/reader.ts';

/** Samples whose tokens are read at a time. */
const tokensAtOnce = 64;

export async function sealedTokens(reader: SnapshotReader, ordinal: number): Promise<Int32Array> {
  const { tokens } = await reader.read([ordinal], ['tokens']);
  return int32Of(tokens.buffers[1]);
}

/** Tokens of all samples, in order. */
export async function* allSealedTokens(reader: SnapshotReader): AsyncGenerator<Int32Array> {
  const { samples } = reader.manifest.totals;
  for (let from = 0; from < samples; from += tokensAtOnce) {
    const count = Math.min(tokensAtOnce, samples - from);
    const ordinals = Array.from({ length: count }, (_, i) => from + i);
    const { tokens } = await reader.read(ordinals, ['tokens']);
    const offsets = int32Of(tokens.buffers[0]);
    const ids = int32Of(tokens.buffers[1]);
    for (let i = 0; i < count; i++) yield ids.slice(offsets[i], offsets[i + 1]);
  }
}

/** A sequence as faithful as the snapshot says: log-probs of what was stored, in rank order. */
export async function readSealed(
  reader: SnapshotReader,
  set: TargetSet,
  ordinal: number,
): Promise<{ tokens: Int32Array; rows: ListRows }> {
  const label = `${set.name}_label_logprob`;
  const { targets, columns } = await readTargets(reader, set, ordinal, ['tokens', label]);
  const labels = new Uint16Array(new Uint8Array(columns[label].buffers[1]).buffer);
  const rows: ListRows = {
    form: 'lists',
    count: targets.count,
    width: reader.manifest.label_space.size,
    offsets: targets.offsets,
    ids: targets.ids,
    logprobs: targets.probs.map(Math.log),
    tail: targets.rest,
    labelLogprob: fromFloat16(labels),
  };
  return { tokens: int32Of(columns.tokens.buffers[1]), rows };
}
