/** Top lists in `.npz`: ids, logprobs, tail, tokens, V; its members are inflated in lockstep. */
import type { DumpSourceConfig } from '../../schemas/build-config.ts';
import type { ListRows } from '../distribution/rows.ts';
import { LogitcaskError } from '../errors.ts';
import { integersOf, npyCount } from '../formats/npy.ts';
import { type Npz, type NpzMember, openNpz } from '../formats/npz.ts';
import type { DumpRows } from './dump-rows.ts';

const smallBytesMax = 1024 * 1024 * 1024;
const massSlack = 1e-3;

export async function openLists(config: DumpSourceConfig): Promise<DumpRows> {
  const npz = await openNpz(config.logits);
  try {
    const ids = await shapeOf(npz, 'ids');
    const [count, k] = ids;
    const logprobs = await shapeOf(npz, 'logprobs');
    if (ids.length !== 2 || ids.join() !== logprobs.join()) {
      throw mismatch(config.logits, `ids and logprobs [N, k]`, `[${ids}] and [${logprobs}]`);
    }
    const small = async (name: string) => {
      const { header, bytes } = await readMember(npz, name);
      return integersOf(bytes, header, `${config.logits}:${name}`);
    };
    const tokens = await small('tokens');
    if (tokens.length !== count) throw mismatch(config.logits, `${count} tokens`, tokens.length);
    const [width] = await small('V');
    const tail = npz.names.includes('tail') ? await floats(npz, 'tail') : undefined;
    const next = npz.names.includes('next') ? await small('next') : undefined;
    return {
      width,
      reports: 'top-list',
      rowBytes: 8 * k,
      tokens,
      next,
      rows: (from) => openCursor(npz, { from, k, width, tail, file: config.logits }),
      close: async () => npz.close(),
    };
  } catch (error) {
    npz.close();
    throw error;
  }
}

function mismatch(file: string, expected: unknown, got: unknown): LogitcaskError {
  const message = `capture: the members of ${file} do not fit: expected ${expected}, got ${got}`;
  return new LogitcaskError('source-mismatch', message, { expected, got });
}

async function shapeOf(npz: Npz, name: string): Promise<readonly number[]> {
  const member = await npz.open(name);
  member.close();
  return member.header.shape;
}

async function readMember(npz: Npz, name: string) {
  const member = await npz.open(name);
  const length = npyCount(member.header) * member.header.width;
  if (length > smallBytesMax) throw mismatch(name, `at most ${smallBytesMax} bytes`, length);
  const bytes = await member.take(length);
  member.close();
  return { header: member.header, bytes };
}

async function floats(npz: Npz, name: string): Promise<Float32Array> {
  const { header, bytes } = await readMember(npz, name);
  if (header.type !== 'f4') throw mismatch(name, 'float32', header.type);
  return new Float32Array(new Uint8Array(bytes).buffer);
}

interface CursorOptions {
  readonly from: number;
  readonly k: number;
  readonly width: number;
  readonly tail: Float32Array | undefined;
  readonly file: string;
}

async function openCursor(npz: Npz, { from, k, width, tail, file }: CursorOptions) {
  const [idMember, logprobMember] = [await npz.open('ids'), await npz.open('logprobs')];
  const members: readonly NpzMember[] = [idMember, logprobMember];
  if (logprobMember.header.type !== 'f4') throw mismatch(file, 'float32 logprobs', 'another type');
  for (const member of members) await member.skip(from * k * member.header.width);
  let row = from;
  return {
    async take(count: number): Promise<ListRows> {
      const idBytes = await idMember.take(count * k * idMember.header.width);
      const ids = integersOf(idBytes, idMember.header, `${file}:ids`);
      const bytes = await logprobMember.take(count * k * 4);
      const logprobs = new Float32Array(new Uint8Array(bytes).buffer);
      const lists = { ids: new Uint32Array(ids.buffer), logprobs };
      for (let i = 0; i < count; i++) checkRow(lists, { at: i * k, k, width, row: row + i, file });
      const offsets = Uint32Array.from({ length: count + 1 }, (_, i) => i * k);
      const own = tail?.slice(row, row + count);
      row += count;
      return { form: 'lists', count, width, offsets, ...lists, tail: own };
    },
    async close() {
      for (const member of members) member.close();
    },
  };
}

/** Refuses what is no top list; orders equal log-probs by id. */
function checkRow(
  { ids, logprobs }: { ids: Uint32Array; logprobs: Float32Array },
  { at, k, width, row, file }: { at: number; k: number; width: number; row: number; file: string },
): void {
  const refuse = (what: string, expected: unknown, got: unknown): never => {
    const message = `capture: row ${row} of ${file}: ${what}; export it again`;
    throw new LogitcaskError('row-invalid', message, { expected, got });
  };
  let mass = 0;
  for (let i = at; i < at + k; i++) {
    const p = logprobs[i];
    if (!(p <= massSlack)) refuse('a log-prob is not a finite number ≤ 0', '≤ 0', String(p));
    if (ids[i] >= width) refuse('an id is outside the vocabulary', `below ${width}`, ids[i]);
    if (i > at && p > logprobs[i - 1]) refuse('it is not in descending order', logprobs[i - 1], p);
    mass += Math.exp(p);
  }
  if (mass > 1 + massSlack) refuse('its probabilities exceed 1', '≤ 1', mass);
  if (new Set(ids.subarray(at, at + k)).size !== k) refuse('an id comes twice', 'distinct ids', k);
  for (let i = at; i < at + k; ) {
    let end = i + 1;
    while (end < at + k && logprobs[end] === logprobs[i]) end++;
    if (end > i + 1) ids.subarray(i, end).sort();
    i = end;
  }
}
