/** A scored sequence as one record of bytes, as logs keep it. */
import type { ListRows } from '../distribution/rows.ts';
import { LogitcaskError } from '../errors.ts';
import { sha256Hex } from '../formats/canonical.ts';

export interface Scored {
  /** Length n. */
  readonly tokens: Int32Array;
  /** Entries that were asked for. */
  readonly k: number;
  /** Of n positions, with `labelLogprob`. */
  readonly rows: ListRows;
}

const headWords = 5;
const version = 1;

/**
 * Little-endian: version, n, k, V and number of entries (uint32 each); tokens int32[n], offsets
 * uint32[n + 1], label log-probs float32[n], ids uint32[entries], log-probs float32[entries].
 */
export function encodeScored({ tokens, k, rows }: Scored): Buffer {
  const { offsets, ids, logprobs, width } = rows;
  const n = tokens.length;
  const labels = rows.labelLogprob ?? new Float32Array(n).fill(Number.NaN);
  const head = Uint32Array.of(version, n, k, width, ids.length);
  const parts = [head, tokens, offsets, labels, ids, logprobs];
  return Buffer.concat(parts.map((a) => Buffer.from(a.buffer, a.byteOffset, a.byteLength)));
}

/** Throws `log-damaged` where the bytes are no such record. */
export function decodeScored(record: Uint8Array): Scored {
  // aligned, and the caller's memory may be used again
  const { buffer } = new Uint8Array(record);
  const head = new Uint32Array(buffer, 0, record.length >= 4 * headWords ? headWords : 0);
  const [made, n = 0, k = 0, width = 0, entries = 0] = head;
  if (made !== version || record.length !== bytesOf(n, entries)) throw noRecord(made);
  let at = headWords * 4;
  const next = (length: number) => {
    at += length * 4;
    return [buffer, at - length * 4, length] as const;
  };
  const tokens = new Int32Array(...next(n));
  const offsets = new Uint32Array(...next(n + 1));
  const labelLogprob = new Float32Array(...next(n));
  const ids = new Uint32Array(...next(entries));
  const logprobs = new Float32Array(...next(entries));
  const rows = { form: 'lists', count: n, width, offsets, ids, logprobs, labelLogprob } as const;
  return { tokens, k, rows };
}

/** The tokens alone of a record; those of `decodeScored`, with its errors. */
export function tokensOf(record: Uint8Array): Int32Array {
  const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
  const hasHead = record.length >= headWords * 4;
  const [made, n = 0] = hasHead ? [0, 4].map((at) => view.getUint32(at, true)) : [];
  if (made !== version || record.length < (headWords + n) * 4) throw noRecord(made);
  const from = record.byteOffset + headWords * 4;
  return new Int32Array(record.buffer.slice(from, from + 4 * n));
}

/** Whole records that lie one behind another. */
export function splitScored(records: Uint8Array): Uint8Array[] {
  const found: Uint8Array[] = [];
  const view = new DataView(records.buffer, records.byteOffset, records.byteLength);
  for (let from = 0; from < records.length; ) {
    const [n, entries] = [4, 16].map((at) => view.getUint32(from + at, true));
    const to = from + bytesOf(n, entries);
    found.push(records.subarray(from, to));
    from = to;
  }
  return found;
}

const bytesOf = (n: number, entries: number) => 4 * (headWords + 3 * n + 1 + 2 * entries);

function noRecord(got: unknown): LogitcaskError {
  const message = 'capture: a record of a log holds no scored sequence; move the log away';
  return new LogitcaskError('log-damaged', message, { expected: version, got });
}

/** The address of a sequence within a teacher and k: 32 hex digits of SHA-256 over its ids. */
export function sequenceKey(tokens: Int32Array): string {
  const bytes = new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength);
  return sha256Hex(bytes).slice(0, 32);
}
