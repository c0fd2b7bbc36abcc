/** What `export` and `import` share: the container, the compression of frames, the report. */
import { type Command, Option } from 'commander';
import type { ContainerName } from '../../schemas/common.ts';
import type { ConvertOptions } from '../convert.ts';
import { shardsOf } from '../shard/names.ts';
import type { ResolvedSnapshot } from '../shard/snapshot.ts';
import { type CommandContext, formatBytes, formatCount } from './command.ts';
import type { createProgress } from './progress.ts';

export interface ConversionFlags {
  readonly format: ContainerName;
  readonly compression: ConvertOptions['compression'];
}

export function addConversion(command: Command, standard: ContainerName): Command {
  const format = new Option('--format <name>', 'container').choices(['arrow', 'parquet']);
  const compression = new Option('--compression <name>', 'arrow: of frames');
  return command
    .addOption(format.default(standard))
    .addOption(compression.choices(['zstd', 'lz4']).default('zstd'));
}

export function conversionOf(
  context: CommandContext,
  { format, compression }: ConversionFlags,
  progress: ReturnType<typeof createProgress>,
): ConvertOptions {
  return {
    format,
    compression,
    signal: context.stopSignal(),
    onProgress: ({ samples, samplesTotal }) => {
      progress.update({ done: samples, total: samplesTotal });
    },
  };
}

export function describeConversion(
  { id, manifest }: ResolvedSnapshot,
  { place, json, reused = false }: { place: string; json?: boolean; reused?: boolean },
): string {
  if (json) return JSON.stringify({ snapshot: id, reused, manifest });
  const { samples, positions, bytes } = manifest.totals;
  const files = shardsOf(manifest).length;
  const how = reused ? 'reused: a complete conversion was there' : `converted, ${files} shards`;
  return (
    `${place}: snapshot ${id}\n  ${how}\n  ${formatCount(samples)} samples, ` +
    `${formatCount(positions)} positions, ${formatBytes(bytes)}`
  );
}
