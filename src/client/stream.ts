/** Streams of many batches, read message by message: what has arrived is checked and given out. */
import { LogitcaskError } from '../errors.ts';
import {
  metadataBytes,
  prefixBytes,
  readColumns,
  readMessage,
  readSchema,
  type StreamSchema,
} from '../formats/arrow-read.ts';
import { type Batch, checkAnnounced, openBatch } from './batch.ts';

/** No record batch of a server is larger. */
const bodyBytesMax = 1024 * 1024 * 1024;

/**
 * Batches in order. Throws what `readBatch` does; `reply-truncated` where the stream ends before
 * the rows and batches that it announced.
 */
export async function* readBatches(
  pieces: AsyncIterable<Buffer>,
  asked: Readonly<Record<string, string | number>>,
): AsyncGenerator<Batch> {
  const source = createSource(pieces);
  try {
    yield* batchesOf(source, asked);
  } finally {
    await source.close(); // also where the reader has had enough
  }
}

async function* batchesOf(
  source: ReturnType<typeof createSource>,
  asked: Readonly<Record<string, string | number>>,
): AsyncGenerator<Batch> {
  let schema: StreamSchema | undefined;
  let announced = { batches: 0, rows: 0 };
  const found = { batches: 0, rows: 0 };
  while (true) {
    const length = metadataBytes(await source.take(prefixBytes));
    if (length === 0) break;
    const message = readMessage(await source.take(length));
    if (message.bodyBytes > bodyBytesMax) throw wrongOrder(`a body of ${message.bodyBytes} bytes`);
    const body = await source.take(message.bodyBytes);
    if (message.kind === 'schema' && schema === undefined) {
      schema = readSchema(message);
      announced = checkAnnounced(schema, asked);
    } else if (message.kind === 'batch' && schema !== undefined) {
      const batch = openBatch(schema, readColumns(message, body, schema.types), body);
      found.batches++;
      found.rows += batch.rows;
      yield batch;
    } else throw wrongOrder(message.kind);
  }
  if (found.batches === announced.batches && found.rows === announced.rows) return;
  const message = 'client: the stream ended before the batches that it announced';
  throw new LogitcaskError('reply-truncated', message, { expected: announced, got: found });
}

function wrongOrder(got: string): LogitcaskError {
  const message = 'client: the stream does not hold a schema and then record batches';
  return new LogitcaskError('reply-invalid', message, { got });
}

/** Takes exact numbers of bytes from pieces of any length. */
function createSource(pieces: AsyncIterable<Buffer>) {
  const iterator = pieces[Symbol.asyncIterator]();
  let held: Buffer[] = [];
  let bytes = 0;
  return {
    async take(length: number): Promise<Buffer> {
      while (bytes < length) {
        const { value, done } = await iterator.next();
        if (done) {
          const message = 'client: the stream ended without its end marker';
          throw new LogitcaskError('reply-truncated', message, { expected: length, got: bytes });
        }
        held.push(value);
        bytes += value.length;
      }
      const whole = held.length === 1 ? held[0] : Buffer.concat(held);
      held = [whole.subarray(length)];
      bytes -= length;
      return whole.subarray(0, length);
    },
    close: async () => iterator.return?.(),
  };
}
