import { mkdtempSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openKeptScores } from '../../src/capture/kept-scores.ts';
import { encodeScored } from '../../src/capture/scored.ts';
import { openStore } from '../../src/store/table.ts';
import { coded } from '../contracts/store.ts';

const folder = mkdtempSync(join(tmpdir(), 'logitcask-kept-'));
afterAll(() => rmSync(folder, { recursive: true }));
const store = await openStore(folder);

/** A teacher that answers with what the tokens say, and counts. */
function teacher() {
  const asked: number[] = [];
  const ask = (tokens: Int32Array) => async () => {
    asked.push(tokens[0]);
    await new Promise((resolve) => setTimeout(resolve, 1));
    const n = tokens.length;
    const rows = {
      form: 'lists' as const,
      count: n,
      width: 100,
      offsets: Uint32Array.from({ length: n + 1 }, (_, i) => Math.min(i, n - 1)),
      ids: Uint32Array.from({ length: n - 1 }, (_, i) => tokens[i + 1]),
      logprobs: new Float32Array(n - 1).fill(-tokens[0] / 8),
      labelLogprob: new Float32Array(n).fill(-1),
    };
    return encodeScored({ tokens, k: 1, rows });
  };
  return { asked, ask };
}

const texts = Array.from({ length: 20 }, (_, i) => Int32Array.of(i, 2 * i, 3));

async function opened(name: string) {
  let close = async () => {};
  const kept = await openKeptScores(async (visit) => {
    const log = await store.openLog(name, visit);
    close = () => log.close();
    return log;
  });
  return { kept, close: () => close() };
}

describe('kept scores', () => {
  it('are the same rows later, in another process too, and nothing is asked twice', async () => {
    const { asked, ask } = teacher();
    const first = await opened('a/scores.log');
    const rows = await Promise.all(texts.map((own) => first.kept.rows(own, ask(own))));
    expect(asked.length).toBe(texts.length);
    for (const [i, own] of texts.entries()) {
      expect(await first.kept.rows(own, ask(own))).toEqual(rows[i]);
    }
    await first.close();
    const later = await opened('a/scores.log');
    for (const [i, own] of texts.entries()) {
      expect(await later.kept.rows(own, ask(own))).toEqual(rows[i]);
    }
    await later.close();
    expect(asked.length).toBe(texts.length);
  });

  it('ask once for the same text at the same time, without a log too', async () => {
    for (const { kept, close } of [
      await opened('b/scores.log'),
      { kept: await openKeptScores(), close: async () => {} },
    ]) {
      const { asked, ask } = teacher();
      const [own, other] = texts.slice(4);
      const all = await Promise.all(
        [own, other, own, own.slice()].map((tokens) => kept.rows(tokens, ask(tokens))),
      );
      expect(asked).toEqual([4, 5]);
      expect(all[2]).toEqual(all[0]);
      expect(all[3]).toEqual(all[0]);
      await close();
    }
  });

  it('do not keep what failed: it is asked again', async () => {
    const { kept, close } = await opened('c/scores.log');
    const { asked, ask } = teacher();
    const failing = async () => {
      throw new Error('busy');
    };
    await expect(kept.rows(texts[1], failing)).rejects.toThrow('busy');
    await kept.rows(texts[1], ask(texts[1]));
    expect(asked).toEqual([1]);
    await close();
  });

  it('ask again for the one that a crash tore off, and for no other', async () => {
    const { asked, ask } = teacher();
    const first = await opened('d/scores.log');
    for (const own of texts) await first.kept.rows(own, ask(own));
    await first.close();
    const path = join(folder, 'd/scores.log');
    truncateSync(path, ((await store.size('d/scores.log')) as number) - 3);
    const later = await opened('d/scores.log');
    for (const own of texts) await later.kept.rows(own, ask(own));
    await later.close();
    expect(asked).toEqual([...texts.keys(), texts.length - 1]);
  });

  it('of another kind are refused', async () => {
    const log = await store.openLog('e/scores.log', () => {});
    await log.append(Buffer.from('something else, and long enough'));
    await log.close();
    await expect(opened('e/scores.log')).rejects.toThrowError(coded('log-damaged'));
  });
});
