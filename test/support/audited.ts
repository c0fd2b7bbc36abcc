/** A report of a snapshot as far as findings need one: a loop over its samples, and `verify`. */
import type { AuditReport } from '../../schemas/audit.ts';
import { distributionReports, distributions } from '../../src/audit/distributions.ts';
import { measureReference, type ReferenceReport } from '../../src/audit/fidelity.ts';
import type { AuditSample } from '../../src/audit/tally.ts';
import { verifySnapshot } from '../../src/audit/verify.ts';
import { openCodec } from '../../src/encode/table.ts';
import { cellsOf, itemBytes, textsOf } from '../../src/formats/cells.ts';
import { fromFloat16 } from '../../src/formats/float16.ts';
import { int32Of, unpackBits } from '../../src/formats/layout.ts';
import { filePath } from '../../src/shard/names.ts';
import { openSnapshot } from '../../src/shard/open-snapshot.ts';
import type { SnapshotReader } from '../../src/shard/reader.ts';
import { readReference } from '../../src/shard/reference.ts';
import type { Store } from '../../src/store/store.ts';

const noLogZ = new Float32Array(0);

/** As the pass shows it. */
export async function auditSample(reader: SnapshotReader, ordinal: number): Promise<AuditSample> {
  const { manifest, columns: types } = reader;
  const columns = await reader.read([ordinal], Object.keys(types));
  const cell = (name: string) => cellsOf(columns[name], itemBytes(types[name]))[0];
  const tokens = int32Of(cell('tokens'));
  const own = <T extends ArrayBufferLike>(bytes: Uint8Array<T>) => new Uint8Array(bytes).buffer;
  return {
    tokens,
    mask: unpackBits(columns.mask.buffers[1], tokens.length),
    meta: textsOf(columns.meta)[0],
    sampleId: columns.sample_id.buffers[0],
    sets: manifest.target_sets.map((set) => {
      const codec = openCodec(set, manifest.label_space);
      const names = Object.keys(codec.columns).map((suffix) => `${set.name}_${suffix}`);
      const cells = names.map(cell);
      const labels = `${set.name}_label_logprob` in types;
      return {
        set,
        targets: codec.decode(cells, tokens.length),
        labelLogprob: labels
          ? fromFloat16(new Uint16Array(own(cell(`${set.name}_label_logprob`))))
          : undefined,
        logZ: set.log_z.length > 0 ? new Float32Array(own(cell(`${set.name}_log_z`))) : noLogZ,
        bytes: cells.reduce((sum, { length }) => sum + length, 0),
      };
    }),
  };
}

/** Mean log-prob of the token at t + 1 + shift, what is not stored spread evenly. */
function alignmentTally(i: number, width: number) {
  const sums = [0, 0, 0];
  let positions = 0;
  return {
    add({ tokens, mask, sets }: AuditSample) {
      const { offsets, ids, probs, rest } = sets[i].targets;
      for (let t = 0; t + 2 < tokens.length; t++) {
        const [from, to] = [offsets[t], offsets[t + 1]];
        if (mask[t] === 0 || from === to) continue;
        const left = Math.max(
          rest[t] ?? 1 - probs.slice(from, to).reduce((a, b) => a + b, 0),
          1e-9,
        );
        positions++;
        for (const shift of [-1, 0, 1]) {
          const at = ids.subarray(from, to).indexOf(tokens[t + 1 + shift]);
          sums[shift + 1] += Math.log(at < 0 ? left / (width - to + from) : probs[from + at]);
        }
      }
    },
    value() {
      const [before, at, after] = sums.map((sum) => sum / Math.max(1, positions));
      const best = before > at && before >= after ? -1 : after > at ? 1 : 0;
      return { positions, before, at, after, best: best as -1 | 0 | 1 };
    },
  };
}

export async function reportOf(store: Store, dataset: string): Promise<AuditReport> {
  const verified = await verifySnapshot(store, { dataset, snapshot: 'latest' });
  const reader = await openSnapshot(store, { dataset, snapshot: 'latest' });
  const { manifest } = reader;
  const { target_sets, files, totals } = manifest;
  const tally = distributions.begin(manifest);
  const alignments = target_sets.map((_, i) => alignmentTally(i, manifest.label_space.size));
  const seen = new Set<string>();
  const duplicates = { samples: 0, positions: 0 };
  const faults = { last: 0, without_target: 0 };
  const reference = files.find(({ role }) => role === 'reference');
  const measured: ReferenceReport[] = [];
  if (verified.problems.length === 0) {
    for (let ordinal = 0; ordinal < totals.samples; ordinal++) {
      const sample = await auditSample(reader, ordinal);
      tally.add(sample);
      for (const alignment of alignments) alignment.add(sample);
      const id = Buffer.from(sample.sampleId).toString('hex');
      duplicates.samples += seen.has(id) ? 1 : 0;
      duplicates.positions += seen.has(id) ? sample.tokens.length : 0;
      seen.add(id);
      faults.last += sample.mask.at(-1) === 1 ? 1 : 0;
    }
    for (const set of reference === undefined ? [] : target_sets) {
      const rows = readReference(store, filePath(dataset, reference?.name ?? ''));
      measured.push(await measureReference(reader, set, rows));
    }
  }
  await reader.close();
  const none = { total: 0, rows: [] };
  const problems = await Promise.all(
    verified.problems.map(async ({ file, ...problem }) => {
      const isThere = (await store.size(filePath(dataset, file))) !== undefined;
      return { ...problem, code: isThere ? problem.code : 'store-not-found', file };
    }),
  );
  return {
    dataset,
    integrity: {
      problems: { total: problems.length, rows: problems },
      orphans: none,
      quarantined: [],
    },
    alignment: target_sets.map(({ name }, i) => {
      return { target_set: name, ...alignments[i].value(), shards: none, sources: none };
    }),
    fidelity: distributionReports(tally.value(), manifest).map((report, i) => ({
      ...report,
      ...(measured[i] ?? { measured: null, kl_all: null, total_variation: null, bias: null }),
      stated: target_sets[i].fidelity,
    })),
    coverage: { ...totals, duplicates, mask_faults: faults },
  } as unknown as AuditReport;
}
