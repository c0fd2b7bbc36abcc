/** Whether images are still what the teacher saw: those in reach, by their digests. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type AuditIntegrity, auditRowsMax } from '../../schemas/audit.ts';
import { textsOf } from '../formats/cells.ts';
import type { SnapshotReader } from '../shard/reader.ts';
import { imageOf } from '../shard/sample-id.ts';
import { stopped } from './pass-shard.ts';

export type ImagesReport = NonNullable<AuditIntegrity['images']>;

const rowsAtOnce = 256;

/**
 * Reads every local image of a snapshot; one of texts has none.
 * Throws `shard-damaged`, `interrupted`.
 */
export async function checkImages(
  reader: SnapshotReader,
  signal?: AbortSignal,
): Promise<ImagesReport> {
  const problems: ImagesReport['problems'] = [];
  const counts = { checked: 0, skipped: 0, wrong: 0 };
  const { kind, totals } = reader.manifest;
  const samples = kind === 'vision' ? totals.samples : 0;
  for (let first = 0; first < samples; first += rowsAtOnce) {
    if (signal?.aborted) throw stopped();
    const rows = Math.min(rowsAtOnce, samples - first);
    const ordinals = Array.from({ length: rows }, (_, i) => first + i);
    const { input_ref } = await reader.read(ordinals, ['input_ref']);
    for (const [i, ref] of textsOf(input_ref).entries()) {
      const { sha256, uri } = imageOf(ref);
      if (!uri.startsWith('file:')) {
        counts.skipped++;
        continue;
      }
      counts.checked++;
      const found = await digestOf(uri);
      if (found === sha256) continue;
      counts.wrong++;
      const what = found === undefined ? 'missing' : 'changed';
      if (problems.length < auditRowsMax) problems.push({ ordinal: first + i, uri, what });
    }
  }
  return { ...counts, problems };
}

/** SHA-256 (hex) of a file, undefined where it cannot be read. */
async function digestOf(uri: string): Promise<string | undefined> {
  const hash = createHash('sha256');
  try {
    for await (const piece of createReadStream(fileURLToPath(uri))) hash.update(piece);
  } catch {
    return undefined; // reported as missing, with its address
  }
  return hash.digest('hex');
}
