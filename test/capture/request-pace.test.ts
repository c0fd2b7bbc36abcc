import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { allChunks } from '../contracts/source.ts';
import { type TeacherOptions, vllmAnswer } from '../support/replay-teacher.ts';
import { open, sourceOf, texts } from '../support/server-source.ts';

describe('the pace of requests', () => {
  /** Answers after `ms`, and refuses more than `takes` at once. */
  function paced(takes: number, ms: number) {
    const seen = { underWay: 0, most: 0, refused: 0, answered: 0 };
    const options: TeacherOptions = {
      answer: vllmAnswer,
      fault(_, reply) {
        if (seen.underWay >= takes) {
          seen.refused++;
          reply.writeHead(429).end('{"detail":"too many"}');
          return true;
        }
        seen.most = Math.max(seen.most, ++seen.underWay);
        const { asked } = open.at(-1)!;
        const body = asked.at(-1) as never;
        wait(ms).then(() => {
          seen.underWay--;
          seen.answered++;
          reply.end(JSON.stringify(vllmAnswer(body)));
        });
        return true;
      },
    };
    return { seen, options };
  }

  it('rises by one after as many successes, to what was allowed and no further', async () => {
    const rounds = [1, 1, 4, 5, 6, 7, 8, 9, 9]; // the first two are probes
    let held: (() => void)[] = [];
    const source = await sourceOf(
      {
        answer: vllmAnswer,
        fault(_, reply) {
          const body = open.at(-1)!.asked.at(-1) as never;
          held.push(() => reply.end(JSON.stringify(vllmAnswer(body))));
          // all of a round are asked for before the first is answered, or this waits for ever
          if (held.length < rounds[0]) return true;
          rounds.shift();
          for (const send of held) send();
          held = [];
          return true;
        },
      },
      { texts: texts.slice(0, 48), concurrency: 9 },
    );
    expect(await allChunks(source.chunks(0))).toHaveLength(48);
    expect(rounds).toEqual([]);
  });

  it('falls to what the server takes: each text is answered once', async () => {
    const { seen, options } = paced(3, 5);
    const source = await sourceOf(options, { texts, concurrency: 16 });
    const chunks = await allChunks(source.chunks(0));
    expect(chunks.map(({ sample }) => [...sample.tokens])).toEqual(texts);
    expect(seen.answered).toBe(2 + texts.length);
    expect(seen.refused).toBeGreaterThan(0);
    expect(seen.refused).toBeLessThan(texts.length);
  });

  it('asks once for texts that come again', async () => {
    const { seen, options } = paced(100, 5);
    const again = [...texts.slice(0, 5), ...texts.slice(0, 5)];
    const source = await sourceOf(options, { texts: again, concurrency: 16 });
    const records: Uint8Array[] = [];
    await source.keepIn!(async () => ({
      append: async (record) => records.push(record),
      read: async (offset) => records[offset - 1],
    }));
    const chunks = await allChunks(source.chunks(0));
    expect(chunks.map(({ sample }) => [...sample.tokens])).toEqual(again);
    expect([seen.answered, records.length]).toEqual([2 + 5, 5]);
    expect(await allChunks(source.chunks(0))).toEqual(chunks);
    expect(seen.answered).toBe(2 + 5);
  });

  it('says how much of the input is done', async () => {
    const source = await sourceOf(vllmAnswer, { texts });
    let last = 0;
    let done = 0;
    const total = texts.flat().length;
    for await (const { rows } of source.chunks(0)) {
      done += rows.count;
      expect(source.share!()).toBeGreaterThanOrEqual(last);
      last = source.share!();
      expect(Math.abs(last - done / total)).toBeLessThan(0.2);
    }
    expect(last).toBe(1);
    const few = await sourceOf(vllmAnswer, { texts, samples: 4 });
    for await (const { sample } of few.chunks(0)) {
      expect(few.share!()).toBe((sample.ordinal + 1) / 4);
    }
  });
});
