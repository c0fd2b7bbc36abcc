/** `logitcask inspect`: what a store, a snapshot or a sample holds. */
import { Command } from 'commander';
import type { TargetSet } from '../../schemas/manifest.ts';
import { readTargets } from '../audit/fidelity.ts';
import { measureSize, type SizeReport } from '../audit/size.ts';
import { LogitcaskError } from '../errors.ts';
import { int32Of } from '../formats/layout.ts';
import { openSnapshot } from '../shard/open-snapshot.ts';
import type { SnapshotReader } from '../shard/reader.ts';
import { listDatasets, listSnapshots, readTags, resolveSnapshot } from '../shard/snapshot.ts';
import type { Store } from '../store/store.ts';
import { openStore } from '../store/table.ts';
import { type CommandContext, formatBytes, formatCount, formatTable } from './command.ts';

interface InspectFlags {
  store: string;
  sample?: string;
  positions: number;
  json?: boolean;
}

export function inspectCommand(context: CommandContext): Command {
  return new Command('inspect')
    .summary('show what a store, a snapshot or one sample holds')
    .description(
      'Without arguments: the data sets. With a data set: sizes by column, target sets,\n' +
        'fidelity and alignment. With --sample: the stored distributions of its positions.',
    )
    .argument('[dataset]', 'name of the data set')
    .argument('[snapshot]', 'digest or tag', 'latest')
    .option('--store <folder>', 'folder of the store', 'logitcask-data')
    .option('--sample <id>', 'ordinal, or 32 hex digits')
    .option('--positions <n>', 'positions of the sample to show', Number, 8)
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', '\nExample:\n  logitcask inspect default --sample 0 --store data')
    .action(async (dataset: string | undefined, snapshot: string, flags: InspectFlags) => {
      const store = await openStore(flags.store);
      try {
        const found =
          dataset === undefined
            ? await inspectStore(store)
            : flags.sample === undefined
              ? await inspectSnapshot(store, dataset, snapshot)
              : await inspectSample(store, { dataset, snapshot, ...flags, sample: flags.sample });
        context.print(flags.json ? JSON.stringify(found.data) : found.text);
      } finally {
        await store.close();
      }
    });
}

interface Found {
  readonly data: unknown;
  readonly text: string;
}

async function inspectStore(store: Store): Promise<Found> {
  const data = [];
  for (const name of await listDatasets(store)) {
    const [tags, snapshots] = [await readTags(store, name), await listSnapshots(store, name)];
    data.push({ name, tags, snapshots });
  }
  const lines = data.map(({ name, tags, snapshots }) => {
    const named = Object.entries(tags).map(([tag, id]) => `${tag} → ${id.slice(0, 12)}`);
    return `${name}: ${snapshots.length} snapshots; ${named.join(', ')}`;
  });
  return { data, text: lines.length === 0 ? 'the store holds no data sets' : lines.join('\n') };
}

async function inspectSnapshot(store: Store, dataset: string, ref: string): Promise<Found> {
  const { id, manifest } = await resolveSnapshot(store, dataset, ref);
  const size = await measureSize(store, { dataset, snapshot: id });
  const { samples, positions, bytes } = manifest.totals;
  const text = [
    `${dataset}: snapshot ${id}`,
    `  ${formatCount(samples)} samples, ${formatCount(positions)} positions, ${formatBytes(bytes)}`,
    `  inputs: ${manifest.inputs.origin} (${manifest.inputs.licence})`,
    ...manifest.target_sets.map(describeSet),
    describeSize(size),
  ].join('\n');
  return { data: { id, manifest, size }, text };
}

function describeSet(set: TargetSet): string {
  const { teacher, sparsifier, codec, fidelity, alignment } = set;
  const parameters = (values: object) =>
    Object.entries(values)
      .map(([key, value]) => `${key} ${value}`)
      .join(', ');
  const lines = [
    `  target set ${set.name}: ${sparsifier.name} (${parameters(sparsifier.parameters)}), ` +
      `codec ${codec.name}${codec.name === 'raw' ? '' : ` (${parameters(codec.parameters)})`}`,
    `    teacher ${teacher.name} (${teacher.source}, ${teacher.reports})`,
  ];
  if (fidelity?.kl != null) {
    const { kl, mass, positions } = fidelity;
    lines.push(
      `    KL mean ${kl.mean.toExponential(2)}, p99 ${kl.p99.toExponential(2)}, max ` +
        `${kl.max.toExponential(2)} nats; mass kept ${mass.toFixed(4)} (${positions} positions)`,
    );
  }
  if (alignment !== null) {
    const { before, at, after } = alignment;
    lines.push(`    alignment: log-prob ${before} / ${at} / ${after} at shifts −1 / 0 / +1`);
  }
  return lines.join('\n');
}

/** Bytes by column and by role of file. */
export function describeSize(size: SizeReport): string {
  const row = (name: string, bytes: number, each: number) => [
    name,
    formatBytes(bytes),
    `${each.toFixed(2)} B/position`,
  ];
  const columns = size.columns.map((c) => row(c.name, c.bytes, c.bytesPerPosition));
  const files = size.files.map((f) => row(`${f.role} files`, f.bytes, f.bytesPerPosition));
  return formatTable([...columns, ...files], '    ');
}

async function inspectSample(
  store: Store,
  options: { dataset: string; snapshot: string; sample: string; positions: number },
): Promise<Found> {
  const reader = await openSnapshot(store, options);
  try {
    const ordinal = await ordinalOf(reader, options.sample);
    const stored = await reader.read([ordinal], ['sample_id', 'tokens', 'meta']);
    const tokens = [...int32Of(stored.tokens.buffers[1])];
    const [set] = reader.manifest.target_sets;
    const targets = await readTargets(reader, set, ordinal);
    const positions = tokens.slice(0, options.positions).map((token, t) => {
      const [from, to] = [targets.offsets[t], targets.offsets[t + 1]];
      const entries = Array.from({ length: to - from }, (_, i) => ({
        id: targets.ids[from + i],
        p: targets.probs[from + i],
      })).sort((a, b) => b.p - a.p);
      return { position: t, token, next: tokens[t + 1] ?? null, entries, rest: targets.rest[t] };
    });
    const id = Buffer.from(stored.sample_id.buffers[0]).toString('hex');
    const meta = JSON.parse(Buffer.from(stored.meta.buffers[1]).toString());
    const lines = positions.map(({ position, token, next, entries, rest }) => {
      const top = entries.slice(0, 5).map(({ id: entry, p }) => `${entry}:${p.toFixed(4)}`);
      return `  ${position}: ${token} → ${next ?? '–'} | ${top.join(' ')} … rest ${rest?.toFixed(4) ?? '–'}`;
    });
    const head = `sample ${ordinal} (${id}), ${tokens.length} positions, meta ${JSON.stringify(meta)}`;
    return { data: { ordinal, id, meta, tokens, positions }, text: [head, ...lines].join('\n') };
  } finally {
    await reader.close();
  }
}

async function ordinalOf(reader: SnapshotReader, sample: string): Promise<number> {
  const isId = /^[0-9a-f]{32}$/.test(sample);
  const ordinal = isId ? await reader.find(Buffer.from(sample, 'hex')) : Number(sample);
  if (ordinal !== undefined && ordinal >= 0 && ordinal < reader.manifest.totals.samples) {
    return ordinal;
  }
  throw new LogitcaskError('sample-not-found', `inspect: there is no sample ${sample}`, {
    expected: `0 … ${reader.manifest.totals.samples - 1}, or an id of 32 hex digits`,
    got: sample,
  });
}
