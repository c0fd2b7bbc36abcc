/** What a teacher answered, kept in a log by the digest of the tokens: nothing is asked twice. */
import type { ListRows } from '../distribution/rows.ts';
import { createScoreIndex } from './score-index.ts';
import { decodeScored, sequenceKey, tokensOf } from './scored.ts';

/** Records that are durable once they are appended. */
export interface RecordLog {
  append(record: Uint8Array): Promise<number>;
  read(offset: number): Promise<Uint8Array>;
}

/** `visit` is called with each record that the log holds; it is valid during the call only. */
export type OpenLog = (visit: (record: Uint8Array, offset: number) => void) => Promise<RecordLog>;

export interface KeptScores {
  /**
   * Rows of the tokens: as they are kept, or else as `ask` answers, a record of `encodeScored`;
   * then they are durable. Those who want the same tokens at the same time ask once.
   */
  rows(tokens: Int32Array, ask: () => Promise<Uint8Array>): Promise<ListRows>;
}

/** Without a log nothing is kept. Throws `log-damaged` where the log holds other records. */
export async function openKeptScores(openLog?: OpenLog): Promise<KeptScores> {
  const offsets = createScoreIndex();
  const asked = new Map<string, Promise<ListRows>>();
  const log = await openLog?.((record, offset) => {
    offsets.set(sequenceKey(tokensOf(record)), offset);
  });

  const find = async (key: string): Promise<ListRows | undefined> => {
    const offset = offsets.get(key);
    if (log === undefined || offset === undefined) return undefined;
    const kept = decodeScored(await log.read(offset));
    return sequenceKey(kept.tokens) === key ? kept.rows : undefined;
  };
  const findOrAsk = async (key: string, ask: () => Promise<Uint8Array>) => {
    const found = await find(key);
    if (found !== undefined) return found;
    const record = await ask();
    if (log !== undefined) offsets.set(key, await log.append(record));
    return decodeScored(record).rows;
  };
  return {
    rows(tokens, ask) {
      const key = sequenceKey(tokens);
      const underWay = asked.get(key);
      if (underWay !== undefined) return underWay;
      const rows = findOrAsk(key, ask).finally(() => asked.delete(key));
      asked.set(key, rows);
      return rows;
    },
  };
}
