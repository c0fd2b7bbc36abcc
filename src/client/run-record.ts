/**
 * What a trainer received, one line a batch: from it the order of a run is proved, and two runs are
 * compared. The Python client writes the same lines.
 */
import { createHash } from 'node:crypto';
import { type RunLine, runLine } from '../../schemas/run-record.ts';
import { LogitcaskError } from '../errors.ts';
import { lengthsOf } from '../formats/cells.ts';
import { int32Of, unpackBits } from '../formats/layout.ts';
import { sampleIdBytes } from '../shard/sample-id.ts';
import type { Batch } from './batch.ts';

/** The line of a batch of a plan's step, with its end. */
export function recordOf({ rows, columns, metadata }: Batch): string {
  const number = (key: string) => Number(metadata[`logitcask.${key}`]);
  const pad = unpackBits(columns.pad.buffers[0], rows);
  const kept = Array.from({ length: rows }, (_, row) => row).filter((row) => pad[row] === 0);
  const ids = Buffer.from(columns.sample_id.buffers[0]);
  const line: RunLine = {
    plan: metadata['logitcask.plan'],
    epoch: number('epoch'),
    step: number('step'),
    rank: number('rank'),
    world: number('world'),
    replicate: number('replicate') || 1,
    ids: kept.map((row) => ids.toString('hex', row * sampleIdBytes, (row + 1) * sampleIdBytes)),
    parts: partsOf(columns, kept),
  };
  return `${JSON.stringify(line)}\n`;
}

function partsOf(
  columns: Batch['columns'],
  kept: readonly number[],
): [number, number][] | undefined {
  if (columns.first_position === undefined) return undefined;
  const first = int32Of(columns.first_position.buffers[0]);
  const { length, tokens } = columns;
  const lengths = length === undefined ? lengthsOf(tokens) : int32Of(length.buffers[0]);
  return kept.map((row) => [first[row], lengths[row]]);
}

/** A step as all its ranks received it. */
export interface RunStep {
  readonly plan: string;
  readonly epoch: number;
  readonly step: number;
  /** What the digest of the order is taken over: ids, in packs followed by their parts. */
  readonly rows: readonly Buffer[];
}

export interface Run {
  /** Whole steps, ascending by epoch and step. */
  readonly steps: readonly RunStep[];
  /** Steps of which some rank's line is missing. */
  readonly incomplete: number;
  /** Lines of steps that were received before; the last time counts. */
  readonly repeated: number;
}

/** Lines of one step by one world, and where in its file the last of them stood. */
interface Group {
  readonly lines: Map<number, RunLine>;
  last: number;
}

/**
 * Reads the lines of all ranks of a run, files in any order. A step that was received again after a
 * restart counts as it was received last. Throws `source-unreadable`.
 */
export function readRun(texts: readonly { name: string; text: string }[]): Run {
  const steps = new Map<string, Map<string, Group>>();
  let repeated = 0;
  for (const { name, text } of texts) {
    for (const [i, raw] of text.split('\n').entries()) {
      if (raw.trim() === '') continue;
      const line = parseLine(raw, `${name}:${i + 1}`);
      const groups = entry(steps, `${line.epoch}/${line.step}`, () => new Map<string, Group>());
      const group = entry(groups, `${line.plan}/${line.world}/${line.replicate}`, () => {
        if (groups.size > 0) repeated++;
        return { lines: new Map<number, RunLine>(), last: i };
      });
      if (group.lines.has(line.rank)) repeated++;
      group.lines.set(line.rank, line);
      group.last = Math.max(group.last, i);
    }
  }
  const whole = [...steps.values()].flatMap(joinRanks);
  whole.sort((a, b) => a.epoch - b.epoch || a.step - b.step);
  return { steps: whole, incomplete: steps.size - whole.length, repeated };
}

function entry<V>(map: Map<string, V>, key: string, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

function parseLine(raw: string, where: string): RunLine {
  let value: unknown;
  try {
    value = JSON.parse(raw);
  } catch {
    value = undefined; // a line that a kill cut short, or none of ours
  }
  const parsed = runLine.safeParse(value);
  if (parsed.success) return parsed.data;
  const message = `plan: ${where} is no line of a run; remove it if the trainer was killed there`;
  throw new LogitcaskError('source-unreadable', message, {
    expected: '{plan, epoch, step, rank, world, ids}',
    got: raw.slice(0, 80),
  });
}

/** A step from the lines of its ranks, one of each group of replicas; nothing if one is missing. */
function joinRanks(groups: Map<string, Group>): RunStep[] {
  const byTime = [...groups.values()].sort((a, b) => b.last - a.last);
  for (const { lines } of byTime) {
    const ranks = [...lines.values()].sort((a, b) => a.rank - b.rank);
    const [{ plan, epoch, step, world, replicate }] = ranks;
    const own = ranks.filter(({ rank }) => rank % replicate === 0);
    if (own.length === world / replicate) return [{ plan, epoch, step, rows: own.flatMap(rowsOf) }];
  }
  return [];
}

function rowsOf({ ids, parts }: RunLine): Buffer[] {
  return ids.map((id, i) => {
    const row = Buffer.from(id, 'hex');
    if (parts === undefined) return row;
    const part = Buffer.alloc(8);
    part.writeUInt32LE(parts[i][0], 0);
    part.writeUInt32LE(parts[i][1], 4);
    return Buffer.concat([row, part]);
  });
}

/** The digest that the server gives for the same steps. */
export function digestOfSteps(steps: readonly RunStep[]): string {
  const hash = createHash('sha256');
  for (const { rows } of steps) for (const row of rows) hash.update(row);
  return hash.digest('hex');
}

export interface Comparison {
  /** Steps that both runs have. */
  readonly compared: number;
  /** Steps that only one of them has. */
  readonly missing: readonly [number, number];
  /** The first step at which they differ. */
  readonly difference: { epoch: number; step: number; row: number } | null;
}

export function compareRuns(a: Run, b: Run): Comparison {
  const other = new Map(b.steps.map((step) => [`${step.epoch}/${step.step}`, step]));
  let compared = 0;
  let difference: Comparison['difference'] = null;
  for (const { epoch, step, rows } of a.steps) {
    const twin = other.get(`${epoch}/${step}`);
    if (twin === undefined) continue;
    compared++;
    const most = Math.max(rows.length, twin.rows.length);
    const row = Array.from({ length: most }, (_, i) => i).find(
      (i) => !(rows[i] !== undefined && twin.rows[i] !== undefined && rows[i].equals(twin.rows[i])),
    );
    if (row !== undefined) difference ??= { epoch, step, row };
  }
  return { compared, missing: [a.steps.length - compared, b.steps.length - compared], difference };
}
