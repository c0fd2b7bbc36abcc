/** Top lists in `.npz`: ids, logprobs, tail, tokens, V; its members are inflated in lockstep. */
import type { ListRows } from '../distribution/rows.ts';
import { LogitcaskError } from '../errors.ts';
import { integersOf, type NpyHeader, npyCount } from '../formats/npy.ts';
import { type Npz, openNpz } from '../formats/npz.ts';
import type { DumpRows } from './dump-rows.ts';
import { createListCheck, orderTies } from './top-list.ts';

const smallBytesMax = 1024 * 1024 * 1024;

/** Errors: `source-unreadable`, `source-mismatch`, and `row-invalid` from its cursors. */
export async function openLists(file: string): Promise<DumpRows> {
  const npz = await openNpz(file);
  try {
    const ids = await headerOf(npz, 'ids');
    const logprobs = await headerOf(npz, 'logprobs');
    const [count, k] = ids.shape;
    if (ids.shape.length !== 2 || k === 0 || ids.shape.join() !== logprobs.shape.join()) {
      throw mismatch(file, 'ids and logprobs [N, k]', `[${ids.shape}] and [${logprobs.shape}]`);
    }
    if (logprobs.type !== 'f4') throw mismatch(file, 'float32 logprobs', logprobs.type);
    const sizes = await readIds(npz, file, 'V');
    if (sizes.length !== 1) throw mismatch(file, 'one number V', `${sizes.length}`);
    const lists: Lists = { npz, file, count, k, width: sizes[0] };
    const optional = async <T>(name: string, read: (name: string) => Promise<T>) =>
      npz.names.includes(name) ? await read(name) : undefined;
    const tail = await optional('tail', () => readTail(lists));
    return {
      count,
      width: lists.width,
      reports: 'top-list',
      rowBytes: 8 * k,
      tokens: await optional('tokens', (name) => readIds(npz, file, name)),
      next: await optional('next', (name) => readIds(npz, file, name)),
      rows: (from) => openCursor(lists, tail, from),
      close: async () => npz.close(),
    };
  } catch (error) {
    npz.close();
    throw error;
  }
}

interface Lists {
  readonly npz: Npz;
  readonly file: string;
  readonly count: number;
  readonly k: number;
  readonly width: number;
}

function mismatch(file: string, expected: unknown, got: unknown): LogitcaskError {
  const message = `capture: the members of ${file} do not fit: expected ${expected}, got ${got}`;
  return new LogitcaskError('source-mismatch', message, { expected, got });
}

async function headerOf(npz: Npz, name: string): Promise<NpyHeader> {
  const member = await npz.open(name);
  member.close();
  return member.header;
}

async function readSmall(npz: Npz, file: string, name: string) {
  const member = await npz.open(name);
  try {
    const { header } = member;
    const length = npyCount(header) * header.width;
    if (length <= smallBytesMax) return { header, bytes: await member.take(length) };
    throw mismatch(file, `at most ${smallBytesMax} bytes of ${name}`, length);
  } finally {
    member.close();
  }
}

async function readIds(npz: Npz, file: string, name: string): Promise<Int32Array> {
  const { header, bytes } = await readSmall(npz, file, name);
  return integersOf(bytes, header, `${file}:${name}`);
}

async function readTail({ npz, file, count }: Lists): Promise<Float32Array> {
  const { header, bytes } = await readSmall(npz, file, 'tail');
  const found = `${header.type} [${header.shape}]`;
  if (found !== `f4 [${count}]`) throw mismatch(file, `tail f4 [${count}]`, found);
  return floatsOf(bytes);
}

function floatsOf(bytes: Buffer): Float32Array {
  return new Float32Array(new Uint8Array(bytes).buffer); // copied: views must be aligned
}

async function openCursor(lists: Lists, tail: Float32Array | undefined, from: number) {
  const { npz, file, k, width } = lists;
  const [idMember, logprobMember] = [await npz.open('ids'), await npz.open('logprobs')];
  await idMember.skip(from * k * idMember.header.width);
  await logprobMember.skip(from * k * 4);
  const check = createListCheck(width);
  let row = from;
  return {
    async take(count: number): Promise<ListRows> {
      const idBytes = await idMember.take(count * k * idMember.header.width);
      const ids = new Uint32Array(integersOf(idBytes, idMember.header, `${file}:ids`).buffer);
      const logprobs = floatsOf(await logprobMember.take(count * k * 4));
      for (let i = 0; i < count; i++) {
        const own = row + i;
        const list = ids.subarray(i * k, (i + 1) * k);
        const values = logprobs.subarray(i * k, (i + 1) * k);
        check(list, values, { place: () => `row ${own} of ${file}`, tail: tail?.[own] });
        orderTies(list, values);
      }
      const offsets = Uint32Array.from({ length: count + 1 }, (_, i) => i * k);
      const rows = { form: 'lists' as const, count, width, offsets, ids, logprobs };
      row += count;
      return tail === undefined ? rows : { ...rows, tail: tail.slice(row - count, row) };
    },
    async close() {
      idMember.close();
      logprobMember.close();
    },
  };
}
