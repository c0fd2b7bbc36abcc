/**
 * The teacher's answers in a log, each durable before it counts: a run that goes on asks only what
 * was not answered.
 */

import { DigestTable } from '../capture/digest-table.ts';
import type { Answer } from '../capture/generators/generator.ts';
import { decodeScored, encodeScored } from '../capture/scored.ts';
import { LogitcaskError } from '../errors.ts';
import type { Store } from '../store/store.ts';
import { refused } from './filter.ts';

const keyBytes = 32;

export interface Answers {
  readonly count: number;
  has(key: Buffer): boolean;
  /** Counts as answered by `refused` until closed: the next run asks again. */
  refuse(key: Buffer): void;
  /** Durable when it resolves. */
  add(key: Buffer, answer: Answer): Promise<void>;
  /** The answer and its record; undefined where there is none. */
  get(key: Buffer): Promise<{ answer: Answer; record: Buffer } | undefined>;
  close(): Promise<void>;
}

/** Errors: `log-damaged`, `store-*`. */
export async function openAnswers(store: Store, name: string): Promise<Answers> {
  const places = new DigestTable();
  const refusals = new Set<string>();
  const log = await store.openLog(name, (record, offset) => {
    places.set(record.subarray(0, keyBytes), offset);
  });
  return {
    get count() {
      return places.size;
    },
    has: (key) => places.get(key) !== undefined || refusals.has(key.toString('hex')),
    refuse: (key) => void refusals.add(key.toString('hex')),
    async add(key, answer) {
      places.set(key, await log.append(Buffer.concat([key, encodeAnswer(answer)])));
    },
    async get(key) {
      const offset = places.get(key);
      if (offset === undefined) {
        if (!refusals.has(key.toString('hex'))) return undefined;
        return { answer: refused, record: Buffer.alloc(0) };
      }
      const record = await log.read(offset);
      if (!record.subarray(0, keyBytes).equals(key)) throw damaged('it answers another question');
      return { answer: decodeAnswer(record.subarray(keyBytes)), record };
    },
    close: () => log.close(),
  };
}

interface Head extends Pick<Answer, 'text' | 'finish' | 'promptCount' | 'count'> {
  /** Numbers of ids that follow; null where the server gave none. */
  readonly prompt: number | null;
  readonly response: number | null;
  /** Whether the ids of the response stand in a scored sequence, with their lists. */
  readonly lists: boolean;
}

/**
 * Little-endian: length of the head (uint32), the head (JSON), ids of the prompt (int32), then
 * those of the response, or its scored sequence.
 */
export function encodeAnswer(answer: Answer): Buffer {
  const { text, finish, promptCount, count, promptTokens, tokens, lists } = answer;
  const head: Head = {
    text,
    finish,
    promptCount,
    count,
    prompt: promptTokens?.length ?? null,
    response: tokens?.length ?? null,
    lists: tokens !== undefined && lists !== undefined,
  };
  const json = Buffer.from(JSON.stringify(head));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(json.length);
  const tail =
    tokens !== undefined && lists !== undefined
      ? encodeScored({ tokens, k: 0, rows: lists })
      : bytesOfIds(tokens);
  return Buffer.concat([length, json, bytesOfIds(promptTokens), tail]);
}

/** Throws `log-damaged`. */
export function decodeAnswer(bytes: Buffer): Answer {
  const { head, body } = headOf(bytes);
  const { text, finish, promptCount, count, prompt, response, lists } = head;
  const promptBytes = 4 * (prompt ?? 0);
  const tail = body.subarray(promptBytes);
  if (promptBytes > body.length || (!lists && tail.length !== 4 * (response ?? 0))) {
    throw damaged('its ids are cut short');
  }
  const promptTokens = prompt === null ? undefined : idsOf(body.subarray(0, promptBytes));
  const answer = { text, finish, promptCount, count, promptTokens };
  if (!lists) return { ...answer, tokens: response === null ? undefined : idsOf(tail) };
  const scored = decodeScored(tail);
  return { ...answer, tokens: scored.tokens, lists: scored.rows };
}

function headOf(bytes: Buffer): { head: Head; body: Buffer } {
  const length = bytes.length < 4 ? Number.POSITIVE_INFINITY : bytes.readUInt32LE(0);
  if (4 + length > bytes.length) throw damaged('it is cut short');
  try {
    const head = JSON.parse(bytes.toString('utf8', 4, 4 + length)) as Head;
    return { head, body: bytes.subarray(4 + length) };
  } catch {
    throw damaged('its head is no JSON');
  }
}

function bytesOfIds(ids: Int32Array | undefined): Buffer {
  return ids === undefined
    ? Buffer.alloc(0)
    : Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength);
}

function idsOf(bytes: Buffer): Int32Array {
  return new Int32Array(Uint8Array.from(bytes).buffer);
}

function damaged(what: string): LogitcaskError {
  const message = `label: a record of the log of answers: ${what}; move the log away`;
  return new LogitcaskError('log-damaged', message);
}
