/** Reads a reply into a record of its rows: the work of threads. */
import { move, workerData } from 'piscina';
import { type ErrorData, errorData, LogitcaskError } from '../errors.ts';
import { encodeScored } from './scored.ts';
import type { Asked, Reading } from './servers/server.ts';
import { type ServerName, servers } from './servers/table.ts';

/** Plain data, so that it can be sent to a thread. */
export interface ReplyTask {
  readonly server: ServerName;
  readonly reply: Uint8Array;
  readonly asked: Asked;
}

/** Throws `teacher-unsuitable`, `row-invalid`. */
export function readReply({ server, reply, asked }: ReplyTask, reading?: Reading): Uint8Array {
  const { tokens, k } = asked;
  try {
    return encodeScored({ tokens, k, rows: servers[server].parse(reply, asked, reading) });
  } catch (cause) {
    if (cause instanceof LogitcaskError) throw cause;
    const message = `capture: the teacher's reply cannot be read (${(cause as Error).message})`;
    throw new LogitcaskError('teacher-unsuitable', message, { cause });
  }
}

/** What a thread runs. */
export function readReplyInThread(task: ReplyTask): Uint8Array | ErrorData {
  try {
    const record = new Uint8Array(readReply(task, workerData)); // memory of its own can be sent on
    return move(record) as Uint8Array;
  } catch (error) {
    return errorData(error);
  }
}
