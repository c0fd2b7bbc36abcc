/** `logitcask inspect`: what a store, a snapshot or a sample holds. */
import { Command } from 'commander';
import type { TargetSet } from '../../schemas/manifest.ts';
import { measureSize, type SizeReport } from '../audit/size.ts';
import { readInput } from '../capture/input-file.ts';
import { compareTokenizers, describeComparison } from '../capture/tokenizer-compare.ts';
import type { DecodedTargets } from '../distribution/targets.ts';
import { LogitcaskError } from '../errors.ts';
import { lengthsOf } from '../formats/cells.ts';
import { fromFloat16 } from '../formats/float16.ts';
import { int32Of } from '../formats/layout.ts';
import { filePath } from '../shard/names.ts';
import { openSnapshot } from '../shard/open-snapshot.ts';
import { readTargets } from '../shard/read-targets.ts';
import type { SnapshotReader } from '../shard/reader.ts';
import { listDatasets, listSnapshots, readTags, resolveSnapshot } from '../shard/snapshot.ts';
import type { Store } from '../store/store.ts';
import {
  type CommandContext,
  formatBytes,
  formatCount,
  formatTable,
  wholeNumber,
  withStore,
} from './command.ts';
import { addSettings, storeSetting } from './settings.ts';

/** Entries of a position that the text shows; --json shows all. */
const entriesShown = 5;

interface InspectFlags {
  readonly store?: string;
  readonly sample?: string;
  readonly tokenizer?: string;
  readonly positions: number;
  readonly json?: boolean;
}

export function inspectCommand(context: CommandContext): Command {
  const command = new Command('inspect')
    .description(
      'Without arguments: the data sets. With a data set: sizes by column, target sets, ' +
        'fidelity and alignment. With --sample: the stored distributions of its positions.',
    )
    .argument('[dataset]', 'name of the data set')
    .argument('[snapshot]', 'digest or tag', 'latest')
    .option('--sample <id>', 'ordinal, or 32 hex digits')
    .option(
      '--positions <n>',
      'positions of the sample to show',
      wholeNumber(1, Number.MAX_SAFE_INTEGER),
      8,
    )
    .option('--tokenizer <file>', "compare a student's tokenizer.json with the snapshot's")
    .option('--json', 'one JSON object on standard output')
    .addHelpText('after', '\nExample:\n  logitcask inspect default --sample 0 --store data')
    .action((dataset: string | undefined, snapshot: string, flags: InspectFlags) =>
      run(context, { dataset, snapshot, ...flags }),
    );
  return addSettings(command, 'store', [storeSetting]);
}

async function run(
  context: CommandContext,
  options: InspectFlags & { dataset?: string; snapshot: string },
): Promise<void> {
  const { dataset, snapshot, sample, positions, tokenizer } = options;
  const found = await withStore(context, options, (store) => {
    if (dataset === undefined) return inspectStore(store);
    if (tokenizer !== undefined) return compareWith(store, { dataset, snapshot, tokenizer });
    if (sample === undefined) return inspectSnapshot(store, dataset, snapshot);
    return inspectSample(store, { dataset, snapshot, sample, positions });
  });
  context.print(options.json ? JSON.stringify(found.data) : found.text);
}

interface Found {
  readonly data: unknown;
  readonly text: string;
}

async function inspectStore(store: Store): Promise<Found> {
  const datasets = [];
  for (const name of await listDatasets(store)) {
    const [tags, snapshots] = [await readTags(store, name), await listSnapshots(store, name)];
    datasets.push({ name, tags, snapshots });
  }
  const lines = datasets.map(({ name, tags, snapshots }) => {
    const named = Object.entries(tags).map(([tag, id]) => `${tag} → ${id.slice(0, 12)}`);
    const many = snapshots.length === 1 ? '1 snapshot' : `${snapshots.length} snapshots`;
    return [`${name}: ${many}`, ...named].join(', ');
  });
  const text = lines.length === 0 ? 'the store holds no data sets' : lines.join('\n');
  return { data: { datasets }, text };
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

async function compareWith(
  store: Store,
  { dataset, snapshot, tokenizer }: { dataset: string; snapshot: string; tokenizer: string },
): Promise<Found> {
  const { id, manifest } = await resolveSnapshot(store, dataset, snapshot);
  const file = manifest.files.find(({ role }) => role === 'tokenizer');
  if (file === undefined) {
    const message = `inspect: no tokenizer is kept with ${dataset}; build with --tokenizer`;
    throw new LogitcaskError('file-not-found', message, { expected: 'a file of role tokenizer' });
  }
  const teacher = await store.readAll(filePath(dataset, file.name));
  const comparison = compareTokenizers(teacher, await readInput(tokenizer));
  const text = `${dataset}: snapshot ${id}\n  ${tokenizer}: ${describeComparison(comparison)}`;
  return { data: { id, tokenizer: comparison }, text };
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
  if (fidelity?.squared_error != null) {
    const { squared_error: error, mass, positions } = fidelity;
    lines.push(
      `    variance ${error.mean.toExponential(2)}, p99 ${error.p99.toExponential(2)}; ` +
        `weights sum to ${mass.toFixed(4)} on average (${positions} positions)`,
    );
  }
  if (alignment !== null) {
    const { before, at, after } = alignment;
    const values = [before, at, after].map((value) => value.toFixed(2)).join(' / ');
    lines.push(`    alignment: log-prob ${values} at shifts −1 / 0 / +1`);
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
    const set = reader.manifest.target_sets.at(0);
    const label = `${set?.name}_label_logprob`;
    const labels = set?.label_logprob ? [label] : [];
    const isText = reader.manifest.kind === 'text';
    const inputs = isText ? ['tokens'] : [];
    const names = ['sample_id', 'mask', 'meta', ...inputs, ...labels];
    const stored = await reader.read([ordinal], names);
    const [count] = lengthsOf(stored.mask);
    // images have no tokens: what their positions are is in the rows over HTTP
    const tokens = isText ? [...int32Of(stored.tokens.buffers[1])] : new Array(count).fill(null);
    const labelBits = stored[label]?.buffers[1] ?? new Uint8Array();
    const labelLogprobs = fromFloat16(new Uint16Array(new Uint8Array(labelBits).buffer));
    const targets = set && (await readTargets(reader, set, ordinal)).targets;
    const positions = tokens.slice(0, options.positions).map((token, t) => {
      const entries = targets === undefined ? [] : entriesAt(targets, t);
      const next = tokens[t + 1] ?? null;
      // JSON has no NaN: an unknown label is null
      const labelP = labelLogprobs[t] <= 0 ? Math.exp(labelLogprobs[t]) : null;
      return { position: t, token, next, label_p: labelP, entries, rest: targets?.rest[t] ?? null };
    });
    const id = Buffer.from(stored.sample_id.buffers[0]).toString('hex');
    const meta = JSON.parse(Buffer.from(stored.meta.buffers[1]).toString());
    const head = `sample ${ordinal} (${id}), ${count} positions, ${JSON.stringify(meta)}`;
    const text = [head, '  token → next (its probability) | id:probability … rest'];
    text.push(...positions.map(describePosition));
    return { data: { ordinal, id, meta, tokens, positions }, text: text.join('\n') };
  } finally {
    await reader.close();
  }
}

function entriesAt({ offsets, ids, probs }: DecodedTargets, t: number) {
  const from = offsets[t];
  return Array.from({ length: offsets[t + 1] - from }, (_, i) => ({
    id: ids[from + i],
    p: probs[from + i],
  })).sort((a, b) => b.p - a.p);
}

interface ShownPosition {
  readonly position: number;
  readonly token: number | null;
  readonly next: number | null;
  readonly label_p: number | null;
  readonly entries: readonly { id: number; p: number }[];
  readonly rest: number | null;
}

function describePosition({ position, token, next, label_p, entries, rest }: ShownPosition) {
  const top = entries.slice(0, entriesShown).map(({ id, p }) => `${id}:${p.toFixed(4)}`);
  const more = entries.length > entriesShown ? ` … ${entries.length - entriesShown} more` : '';
  const mass = (value: number | null) => (value === null ? '–' : value.toFixed(4));
  const label = `${next ?? '–'} (${mass(label_p)})`;
  return `  ${position}: ${token ?? '–'} → ${label} | ${top.join(' ')}${more}, rest ${mass(rest)}`;
}

async function ordinalOf(reader: SnapshotReader, sample: string): Promise<number> {
  const isId = /^[0-9a-f]{32}$/.test(sample);
  const isOrdinal = /^\d+$/.test(sample);
  const ordinal = isId
    ? await reader.find(Buffer.from(sample, 'hex'))
    : isOrdinal
      ? Number(sample)
      : undefined;
  if (ordinal !== undefined && ordinal < reader.manifest.totals.samples) return ordinal;
  throw new LogitcaskError('sample-not-found', `inspect: there is no sample ${sample}`, {
    expected: `0 … ${reader.manifest.totals.samples - 1}, or an id of 32 hex digits`,
    got: sample,
  });
}
