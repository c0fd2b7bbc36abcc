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
  /** In the order of the reply. */
  readonly asked: readonly Asked[];
}

/** Records of what was asked, one behind another. Throws `teacher-unsuitable`, `row-invalid`. */
export function readReply({ server, reply, asked }: ReplyTask, reading?: Reading): Uint8Array {
  const { parse, several } = servers[server];
  try {
    const all =
      asked.length > 1 && several !== undefined
        ? several.parse(reply, asked)
        : [parse(reply, asked[0], reading)];
    return joined(all.map((rows, i) => encodeScored({ ...asked[i], rows })));
  } catch (cause) {
    if (cause instanceof LogitcaskError) throw cause;
    const message = `capture: the teacher's reply cannot be read (${(cause as Error).message})`;
    throw new LogitcaskError('teacher-unsuitable', message, { cause });
  }
}

const joined = (records: readonly Buffer[]) =>
  records.length === 1 ? records[0] : Buffer.concat(records);

/** What a thread runs. */
export function readReplyInThread(task: ReplyTask): Uint8Array | ErrorData {
  try {
    const record = new Uint8Array(readReply(task, workerData)); // memory of its own can be sent on
    return move(record) as Uint8Array;
  } catch (error) {
    return errorData(error);
  }
}
