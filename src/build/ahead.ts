/** Chunks on their way: those begun ahead of the one that is added next, and the time they took. */
import type { UnreadChunk } from '../capture/source.ts';
import type { Assembler, Begun, StageSeconds } from './assemble.ts';

/** Begins chunks `ahead` of the one that is given out, so that threads have work. */
export async function* begunAhead(
  chunks: AsyncIterable<UnreadChunk>,
  assembler: Assembler,
  ahead: number,
): AsyncGenerator<Begun> {
  const begun: Begun[] = [];
  try {
    for await (const chunk of chunks) {
      const next = assembler.begin(chunk);
      next.reduced.catch(() => {}); // thrown where it is awaited
      begun.push(next);
      if (begun.length >= ahead) yield begun.shift() as Begun;
    }
    while (begun.length > 0) yield begun.shift() as Begun;
  } finally {
    await Promise.allSettled(begun.map(({ reduced }) => reduced));
  }
}

/** Counts the time that the source takes. */
export async function* timed<T>(items: AsyncIterable<T>, seconds: StageSeconds): AsyncGenerator<T> {
  let asked = performance.now();
  for await (const item of items) {
    seconds.capture += (performance.now() - asked) / 1000;
    yield item;
    asked = performance.now();
  }
}
