/** Reads the replies of a server beside the event loop, which goes on asking. */
import { availableParallelism } from 'node:os';
import { Piscina } from 'piscina';
import { threadFile } from '../built.ts';
import { type ErrorData, errorOfData } from '../errors.ts';
import { type ReplyTask, readReply } from './read-reply.ts';
import { splitScored } from './scored.ts';
import type { Reading } from './servers/server.ts';

export interface ReplyReader {
  /** Records of `encodeScored`; the reply is gone. Throws what `readReply` throws. */
  read(task: ReplyTask): Promise<Uint8Array[]>;
  close(): Promise<void>;
}

/** A reply of this size is read here, in about a millisecond: a small build starts no thread. */
const ownBytesMax = 128 * 1024;

/** The caller bounds the replies under way. */
export function createReplyReader(reading?: Reading): ReplyReader {
  let piscina: Piscina | undefined;
  return {
    async read(task) {
      if (task.reply.length <= ownBytesMax) return splitScored(readReply(task, reading));
      piscina ??= new Piscina({
        filename: threadFile('read-reply'),
        name: 'readReplyInThread',
        workerData: reading,
        maxThreads: Math.max(1, availableParallelism() - 1),
      });
      const transferList = [task.reply.buffer as ArrayBuffer];
      const result: Uint8Array | ErrorData = await piscina.run(task, { transferList });
      if (!('code' in result)) return splitScored(result);
      throw errorOfData(result);
    },
    async close() {
      await piscina?.destroy();
      piscina = undefined;
    },
  };
}
